"""Entries of EMPIAR: described, listed, fetched, and brought file by file while they are read."""

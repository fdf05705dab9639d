"""Entries of EMPIAR: described, listed, fetched, and downloaded while they are read."""

"""Microscope files in, one OME-Zarr out."""

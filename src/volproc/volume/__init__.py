"""OME-Zarr volumes: metadata, reading and writing of boxes, resampling, pyramids."""

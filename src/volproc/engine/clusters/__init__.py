"""Where Dask workers come from, one file per kind."""

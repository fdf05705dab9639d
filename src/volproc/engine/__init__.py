"""Running a task over many blocks: here, or on a Dask cluster, recorded so that it can go on."""

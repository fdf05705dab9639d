"""A TIFF series or stack to OME-Zarr with ome-zarr-py, as its users write it: see ingest_peers.py.

    PEERS_PYTHON benchmarks/ome_zarr_writer.py SOURCE OUT.zarr METHOD plain|tuned FACTORS...

FACTORS of a level as Z,Y,X. Its interpreter has ome-zarr, dask, tifffile and zarr; no volproc.
plain: one dask block per plane, chunks of 64, all else as the libraries have it. tuned: the best
found, dask blocks read what one shard takes (one task per shard), zstd-1, chunks not compared
with the fill value; of shards of 16 to 64 MB and whole rows, 16 MB took the least CPU time.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import tifffile
import zarr
from ome_zarr.writer import write_image
from zarr.codecs import ZstdCodec

CHUNK = (64, 64, 64)
SHARD = (64, 512, 512)
VOXEL_NM = {"z": 50.0, "y": 10.0, "x": 10.0}


def by_planes(source: Path) -> da.Array:
    """One block per plane."""
    if not source.is_dir():
        return da.from_zarr(tifffile.imread(source, aszarr=True))
    files = sorted(source.glob("*.tif"))
    first = tifffile.imread(files[0])
    read = dask.delayed(tifffile.imread)
    return da.stack([da.from_delayed(read(f), first.shape, first.dtype) for f in files])


def by_shards(source: Path) -> da.Array:
    """One block per shard, read through memory maps of the files under it."""
    files = sorted(source.glob("*.tif")) if source.is_dir() else [source]
    first = tifffile.memmap(files[0], mode="r")
    shape = (len(files), *first.shape) if source.is_dir() else first.shape

    def read(block_info: Any = None) -> Any:
        z, y, x = (slice(*ends) for ends in block_info[None]["array-location"])
        if not source.is_dir():
            return np.array(tifffile.memmap(source, mode="r")[z, y, x])
        return np.stack([tifffile.memmap(file, mode="r")[y, x] for file in files[z]])

    blocks = da.core.normalize_chunks(SHARD, shape)
    empty = np.empty((0, 0, 0), dtype=first.dtype)
    return da.map_blocks(read, chunks=blocks, dtype=first.dtype, meta=empty)


def main() -> None:
    source, out, method, setting, *levels = sys.argv[1:]
    if setting == "tuned":
        zarr.config.set({"array.write_empty_chunks": True})
        image = by_shards(Path(source))
        options = {"chunks": CHUNK, "shards": SHARD, "compressors": ZstdCodec(level=1)}
    else:
        image = by_planes(Path(source))
        options = {"chunks": CHUNK}
    factors = [dict(zip("zyx", map(int, level.split(",")), strict=True)) for level in levels]
    write_image(
        image,
        out,
        axes="zyx",
        scale_factors=factors,
        method=method,
        storage_options=options,
        scale=VOXEL_NM,
        axes_units=dict.fromkeys("zyx", "nanometer"),
    )


if __name__ == "__main__":
    main()

"""Whole shards written straight into their files, one chunk in memory at a time.

zarr encodes a shard on an event loop, holds all of its chunks, joins them and copies that to the
file: a third more CPU time and three times the memory (benchmarks/LOG.md). The format is zarr's
`sharding_indexed` (https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed):

    | chunk | chunk | ... | chunk | index: (offset, length) of each chunk | crc32c of the index |
      zstd, in raster order; an empty one is (2^64 - 1, 2^64 - 1) in the index and has no bytes
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
import zarr
from numcodecs.zstd import Zstd

from volproc.retry import PatientFile, patient
from volproc.volume.file_io import at_once

LEVEL = 1
"""Of zstd: three times as fast as level 3, for a twentieth more bytes of electron micrographs."""
MISSING = 2**64 - 1
"""In the index, for a chunk that holds the fill value only."""


def is_plain(array: zarr.Array[Any]) -> bool:
    """Whether `write_shard` writes what this array's metadata describe."""
    described: dict[str, Any] = array.metadata.to_dict()
    (codec, *more) = described["codecs"] if array.shards else ({},)
    if more or codec.get("name") != "sharding_indexed":
        return False
    settings = codec["configuration"]
    inner = [one["name"] for one in settings["codecs"]]
    index = [one["name"] for one in settings["index_codecs"]]
    if (inner, index) != (["bytes", "zstd"], ["bytes", "crc32c"]):
        return False
    order, zstd = (one.get("configuration", {}) for one in settings["codecs"])
    plain = zstd.get("level") == LEVEL and not zstd.get("checksum")
    return plain and order.get("endian") != "big" and settings.get("index_location", "end") == "end"


@patient
def write_shard(
    path: Path,
    values: npt.NDArray[Any],
    *,
    shard: tuple[int, ...],
    chunk: tuple[int, ...],
    keep_empty: bool,
) -> None:
    """Store `values`, all voxels of one shard that the array has, in the file at `path`.

    Chunks of zeros are left out unless `keep_empty`. The file of a shard without chunks has the
    index alone, so that a missing file is always a loss. It appears whole or not at all.
    """
    with at_once(str(path)) as partial, PatientFile(open, partial, "wb", buffering=0) as file:
        _fill(file, values, shard, chunk, keep_empty=keep_empty)


def encoded_shard(
    values: npt.NDArray[Any],
    *,
    shard: tuple[int, ...],
    chunk: tuple[int, ...],
    keep_empty: bool,
) -> bytes:
    """The same file as bytes, for stores that take objects whole."""
    content = BytesIO()
    _fill(content, values, shard, chunk, keep_empty=keep_empty)
    return content.getvalue()


def _fill(
    file: Any,
    values: npt.NDArray[Any],
    shard: tuple[int, ...],
    chunk: tuple[int, ...],
    *,
    keep_empty: bool,
) -> None:
    """Chunks and index."""
    counts = tuple(n // c for n, c in zip(shard, chunk, strict=True))
    index = np.full((*counts, 2), MISSING, dtype="<u8")
    zstd, end = Zstd(level=LEVEL), 0
    for place in np.ndindex(counts):
        corner = [p * c for p, c in zip(place, chunk, strict=True)]
        inside = tuple(slice(a, a + c) for a, c in zip(corner, chunk, strict=True))
        part = values[inside]
        if part.size == 0 or not (keep_empty or part.any()):
            continue
        encoded = zstd.encode(_whole(part, chunk))
        file.write(encoded)
        index[place] = end, len(encoded)
        end += len(encoded)
    listed = index.tobytes()
    file.write(listed + google_crc32c.value(listed).to_bytes(4, "little"))


def _whole(part: npt.NDArray[Any], chunk: tuple[int, ...]) -> npt.NDArray[Any]:
    """The chunk, padded with 0 beyond the array's end."""
    if part.shape == chunk:
        return np.ascontiguousarray(part)
    out = np.zeros(chunk, dtype=part.dtype)
    out[tuple(slice(n) for n in part.shape)] = part
    return out

"""Several small arrays in one file, each compressed by itself, so that one can be read alone.

numpy's zip files (savez) take some 0.1 ms more per array, and deflate ten times as long as zstd:
with a dozen arrays for each of 60,000 blocks that would be most of a merge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs.zstd import Zstd

from volproc.errors import LedgerError
from volproc.faults import understanding
from volproc.volume.file_io import read_file

_ZSTD = Zstd(level=1)


def packed(arrays: Mapping[str, npt.NDArray[Any]], *, digest: str) -> bytes:
    """A line of JSON that says what follows, then the arrays."""
    bodies = {name: _ZSTD.encode(np.ascontiguousarray(one)) for name, one in arrays.items()}
    listed = {
        name: [arrays[name].dtype.str, arrays[name].shape, len(body)]
        for name, body in bodies.items()
    }
    head = json.dumps({"digest": digest, "arrays": listed}).encode()
    return b"".join([head, b"\n", *bodies.values()])


class Packed:
    """What `packed` made; each array is decompressed when it is read."""

    def __init__(self, content: bytes, url: str) -> None:
        head, _, self._bodies = content.partition(b"\n")
        self._damaged = (
            f"{url} is damaged ({{}}); remove {url.rpartition('/')[0]} and run the same command "
            "again"
        )
        self._places: dict[str, tuple[str, list[int], int, int]] = {}
        at = 0
        with understanding(LedgerError, self._damaged):
            described = json.loads(head)
            self.digest: str = described["digest"]
            for name, (dtype, shape, length) in described["arrays"].items():
                self._places[name] = (dtype, shape, at, at + length)
                at += length

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        dtype, shape, start, stop = self._places[name]
        with understanding(LedgerError, self._damaged):
            if 0 in shape:
                return np.empty(shape, dtype=dtype)
            body = _ZSTD.decode(self._bodies[start:stop])
            return np.frombuffer(body, dtype=dtype).reshape(shape)


def read_packed(url: str, *, digest: str) -> Packed:
    """The file at `url`; LedgerError if it was made for anything but `digest`."""
    found = Packed(read_file(url), url)
    if found.digest != digest:
        raise LedgerError(
            f"{url} belongs to a run with other options; remove {url.rpartition('/')[0]} and run "
            "the same command again"
        )
    return found

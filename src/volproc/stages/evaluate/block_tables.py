"""What a block counted beyond a few numbers: sparse tables, in a file beside the scores.

Where no file is asked for, there is no place for them either: they travel in the block's record.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from volproc.stages.objects.array_files import Packed, packed
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.volume.file_io import read_file, write_file

SURFACES, PAIRS, SWEEPS = "surfaces", "pairs", "sweeps"
ERRORS, PIXELS = "errors", "pixels"
"""All keys begin with the answer's number. Then come, of surfaces: the slice or ALL_SLICES, and
those of `surface_sums`; of pairs: ids of the truth and of the result; of sweeps: 0 or 1 outside or
inside of the truth, and the level; of errors: slice, row and column of a window; of pixels: the
slice and the direction."""
ALL_SLICES = -1
KEYS = {
    SURFACES: (4, np.int64),
    PAIRS: (3, np.uint64),
    SWEEPS: (3, np.int64),
    ERRORS: (4, np.int64),
    PIXELS: (3, np.int64),
}


@dataclass(frozen=True)
class TableFiles:
    """Where blocks leave their tables: a folder, or "" for their records."""

    folder: str
    digest: str

    def put(self, index: int, tables: dict[str, SparseSums]) -> str:
        """Store the tables of a block; what its record needs to find them."""
        arrays = {
            f"{name} {part}": getattr(table, part)
            for name, table in tables.items()
            for part in ("keys", "counts")
        }
        content = packed(arrays, digest=self.digest)
        if not self.folder:
            return base64.b64encode(content).decode()
        write_file(self._url(index), content)
        return ""

    def merged(self, name: str, stored: Iterable[tuple[int, str]]) -> SparseSums:
        """A table of all blocks together, from the index of each and what `put` returned."""
        return SparseSums.added(self._each(name, stored), nothing=nothing_of(name))

    def _url(self, index: int) -> str:
        return f"{self.folder}/{index}.scores"

    def _each(self, name: str, stored: Iterable[tuple[int, str]]) -> Iterator[SparseSums]:
        for index, inline in stored:
            content = base64.b64decode(inline) if inline else read_file(self._url(index))
            found = Packed(content, self._url(index))
            yield SparseSums(found[f"{name} keys"], found[f"{name} counts"])


def nothing_of(name: str) -> SparseSums:
    """A table of this name without rows."""
    columns, dtype = KEYS[name]
    return SparseSums(np.empty((0, columns), dtype), np.empty(0, np.int64))


def keyed(before: Iterable[int], sums: SparseSums) -> SparseSums:
    """The same rows with keys that begin with `before`."""
    first = np.array([*before], dtype=sums.keys.dtype)
    rows = np.broadcast_to(first, (len(sums), len(first)))
    return SparseSums(np.concatenate([rows, sums.keys], axis=1), sums.counts)

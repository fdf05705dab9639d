"""What blocks leave on disk for the merge, and the merge for them: one small file each.

    OBJECTS.tables/12.npz           of block 12: its components, its ids towards each neighbour
    OBJECTS.tables/12.lookup.npy    for block 12: the final id of each of its own ids

Every file names the digest it was made for, so that none of another run is ever trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import LedgerError
from volproc.grid.box import Shape
from volproc.stages.label.components import Labels
from volproc.stages.label.merge import BlockTable
from volproc.stages.label.statistics import Statistics
from volproc.volume.files import read_file, write_file


@dataclass(frozen=True)
class Tables:
    """The folder of tables of one run."""

    folder: str
    digest: str

    def save(self, index: int, table: BlockTable, borders: Mapping[Shape, Labels]) -> None:
        """Keep what block `index` found; borders without foreground take no space."""
        smallest = np.min_scalar_type(table.count)
        sides = {
            _side(step): values.astype(smallest) for step, values in borders.items() if values.any()
        }
        self._save(
            f"{index}.npz",
            count=np.int64(table.count),
            border_ids=table.border_ids,
            border=table.border.rows,
            inner_ids=table.inner_ids,
            inner=table.inner.rows,
            **sides,
        )

    def load(self, index: int) -> BlockTable:
        """What block `index` found, without its borders."""
        found = self._load(f"{index}.npz")
        return BlockTable(
            count=int(found["count"]),
            border_ids=found["border_ids"],
            border=Statistics(found["border"]),
            inner_ids=found["inner_ids"],
            inner=Statistics(found["inner"]),
        )

    def save_lookup(self, index: int, lookup: npt.NDArray[Any]) -> None:
        """Keep the final ids for block `index`."""
        self._save(f"{index}.lookup.npz", lookup=lookup)

    def load_lookup(self, index: int) -> npt.NDArray[Any]:
        """The final id for each id of block `index`."""
        lookup: npt.NDArray[Any] = self._load(f"{index}.lookup.npz")["lookup"]
        return lookup

    def _save(self, name: str, **arrays: Any) -> None:
        content = BytesIO()
        np.savez_compressed(content, digest=np.array(self.digest), **arrays)
        write_file(f"{self.folder}/{name}", content.getvalue())

    def _load(self, name: str) -> Any:
        url = f"{self.folder}/{name}"
        found = np.load(BytesIO(read_file(url)))
        if str(found["digest"]) != self.digest:
            raise LedgerError(
                f"{url} belongs to a run with other options; remove {self.folder} and run the same "
                "command again"
            )
        return found


class Borders:
    """Reads borders for the merge: neighbours come up soon after each other, so some stay open."""

    def __init__(self, tables: Tables, *, keep: int) -> None:
        self._open = lru_cache(maxsize=keep)(lambda index: tables._load(f"{index}.npz"))

    def __call__(self, index: int, step: Shape) -> Labels:
        """Ids of block `index` towards the neighbour at `step`; an empty array if none."""
        found = self._open(index)
        if _side(step) not in found:
            return np.zeros((0, 0, 0), dtype=np.uint32)
        values: Labels = found[_side(step)].astype(np.uint32)
        return values


def _side(step: Shape) -> str:
    """A name for a step.

    >>> _side((0, 1, -1))
    'side_=+-'
    """
    return "side_" + "".join("-=+"[s + 1] for s in step)

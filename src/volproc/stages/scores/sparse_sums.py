"""Whole numbers by key, which add up over blocks in any order to the same last bit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MERGED_ROWS = 2**20
"""Rows that are gathered before they are added up: memory is that of the sum and of these."""


@dataclass(frozen=True)
class SparseSums:
    """`keys`, shape (n, k), of whole numbers, each once and ascending; their `counts`, (n,)."""

    keys: npt.NDArray[Any]
    counts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    @classmethod
    def of(cls, keys: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> SparseSums:
        """Rows with equal keys put together."""
        if not len(keys):
            return cls(keys, counts)
        order = np.lexsort(keys.T[::-1])
        keys, counts = keys[order], counts[order]
        first = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])
        return cls(keys[first], np.add.reduceat(counts, first))

    @classmethod
    def added(cls, parts: Iterable[SparseSums], *, nothing: SparseSums) -> SparseSums:
        """All parts together, taken as they come; `nothing` if there are none."""
        held, waiting, rows = nothing, list[SparseSums](), 0
        for part in parts:
            waiting.append(part)
            rows += len(part)
            if rows > max(MERGED_ROWS, len(held)):
                held, waiting, rows = cls._together([held, *waiting]), [], 0
        return cls._together([held, *waiting])

    @classmethod
    def _together(cls, parts: list[SparseSums]) -> SparseSums:
        keys = np.concatenate([part.keys for part in parts])
        return cls.of(keys, np.concatenate([part.counts for part in parts]))

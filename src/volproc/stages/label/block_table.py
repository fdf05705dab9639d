"""What one block reports to the merge: its components without dust, at a border or inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape
from volproc.stages.objects.components import Labels
from volproc.stages.objects.runs import Groups
from volproc.stages.objects.statistics import Integers, Statistics, group_statistics, with_values

Chosen = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BlockTable:
    """`count` components, all but the dust in one of two tables: at a border, and inside."""

    count: int
    border_ids: Labels
    border: Statistics
    inner_ids: Labels
    inner: Statistics


def block_table(
    groups: Groups,
    at_border: Chosen,
    inside: Chosen,
    *,
    origin: Shape,
    shape: Shape,
    values: Integers | None = None,
) -> BlockTable:
    """Statistics of a block's components, sorted into those at a border and those inside.

    Of ids 1 to n: `at_border` and `inside` have shape (n,), those in neither are dust.
    """
    kept = at_border | inside
    found = group_statistics(groups, origin=origin, shape=shape, requested=kept)
    if values is not None:
        found = with_values(found, values[kept])
    first = at_border[kept]
    return BlockTable(
        count=len(kept),
        border_ids=_ids(at_border),
        border=found.take(first),
        inner_ids=_ids(inside),
        inner=found.take(~first),
    )


def ids_at_border(count: int, faces: Mapping[Shape, Labels]) -> Chosen:
    """Which of the ids 1 to `count` are in the faces towards other blocks, shape (count,)."""
    found = np.zeros(count + 1, dtype=bool)
    for values in faces.values():
        found[values.reshape(-1)] = True
    return found[1:]


def _ids(chosen: Chosen) -> Labels:
    return (np.flatnonzero(chosen) + 1).astype(np.uint32)

"""The kernel of edits: labels of a box after some edits, one after the other.

    base labels ─▶ edit 1 ─▶ edit 2 ─▶ ...     each inside its own box only

A voxel's label depends on the base label there, on edits, and on the stored parts of splits: on no
other voxel. So blocks of any size give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.stages.edits.edit import Edit
from volproc.stages.edits.painted_shape import painted
from volproc.stages.edits.seeded_split import Parts

Labels = npt.NDArray[Any]
PartsOf = Callable[[Edit], Parts]
"""The parts of a split, in its box."""


def edited(
    labels: Labels, box: Box, edits: Iterable[Edit], *, parts_of: PartsOf, voxel_nm: VoxelNm
) -> Labels:
    """The labels of `box` after `edits`, a new array."""
    out = labels.copy()
    for edit in edits:
        here = edit.box.clip(box)
        if here.size:
            _apply(edit, out[here.within(box.start).slices], here, parts_of, voxel_nm)
    return out


def _apply(edit: Edit, view: Labels, here: Box, parts_of: PartsOf, voxel_nm: VoxelNm) -> None:
    """Change `view`, the voxels of `here`, in place."""
    match edit.asked.do:
        case "merge":
            view[_of(view, edit.gone)] = edit.kept
        case "delete":
            view[_of(view, edit.gone)] = 0
        case "split":
            parts = parts_of(edit)[here.within(edit.box.start).slices]
            for number, identifier in enumerate(edit.new_ids, start=2):
                view[parts == number] = identifier
        case "paint":
            mask = painted(edit.asked, here, voxel_nm)
            if edit.asked.over:
                mask &= _of(view, edit.asked.over)
            view[mask] = edit.kept


def _of(labels: Labels, ids: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    return np.isin(labels, np.array(ids, dtype=labels.dtype))

"""Distances over all pixels of masks, slice by slice: what the published code scores.

Not over outlines: a pixel inside the other mask has distance 0, so the same error of an outline
counts less in a larger object. Nor in nm: a voxel is as long as it is wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.stages.evaluate.block_surfaces import BlockView, SurfaceTask
from volproc.stages.evaluate.overlap import Overlap
from volproc.stages.scores.nearest import Nearest
from volproc.stages.scores.sparse_sums import SparseSums

Mask = npt.NDArray[np.bool_]

MILLIONTHS = 10**6
"""Of a pixel, in which distances are added up."""
FORMULAS = {
    "average_hausdorff_px": (
        "mean over slices on which both sides have something of (h(A, B) + h(B, A)) / 2, with h "
        "the mean distance of all pixels of one mask to the nearest pixel of the other, in pixels; "
        "other slices are left out"
    )
}


def pixel_sums(view: BlockView, truth: Mask, inside: Mask, task: SurfaceTask) -> SparseSums:
    """Sums of distances of a block's pixels, millionths, by slice and direction.

    0 from the truth, 1 to it. Pixels in both have distance 0 and are not listed; what is farther
    than the task's `most_nm` is that far.
    """
    (first, _, _), keys, sums = view.box.start, [], []
    for z in range(view.core.start[0], view.core.stop[0]):
        a, b = (_counted(mask[z], view.ignored, z) for mask in (truth, inside))
        for direction, (here, there) in enumerate(((a, b), (b, a))):
            keys.append([first + z, direction])
            sums.append(_sum(here, there, view, most_px(task)))
    return SparseSums.of(np.array(keys, dtype=np.int64), np.array(sums, dtype=np.int64))


def most_px(task: SurfaceTask) -> float:
    """The largest distance in pixels that a block can see in all directions."""
    return task.most_nm / max(task.voxel_nm[1:])


def average_hausdorff(
    sums: SparseSums, slices: Mapping[int, Overlap]
) -> tuple[dict[int, float], dict[str, Any]]:
    """Of each slice on which both sides have something, and as a whole."""
    keys = map(tuple, sums.keys.tolist())
    total = dict(zip(keys, sums.counts.tolist(), strict=True))
    found = {}
    for z, one in slices.items():
        true, said = one.tp + one.fn, one.tp + one.fp
        if true and said:
            h = (total.get((z, 0), 0) / true, total.get((z, 1), 0) / said)
            found[z] = sum(h) / 2 / MILLIONTHS
    return found, {
        "average_hausdorff_px": fmean(found.values()) if found else None,
        "slices": len(found),
        "left_out": len(slices) - len(found),
    }


def _sum(here: Mask, there: Mask, view: BlockView, most: float) -> int:
    pixels = np.argwhere(here & ~there).astype(np.int32)
    start, stop = view.core.start[1:], view.core.stop[1:]
    own = pixels[((pixels >= start) & (pixels < stop)).all(axis=1)]
    if not len(own):
        return 0
    distances = Nearest(_border(there), nm=(1, 1), most_nm=most).distances(own)
    return int(np.rint(distances * MILLIONTHS).astype(np.int64).sum())


def _border(mask: Mask) -> npt.NDArray[np.int32]:
    """Pixels with one outside above, below, left or right: these are the nearest to others."""
    inner = np.pad(mask, 1)
    inner = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return np.argwhere(mask & ~inner).astype(np.int32)


def _counted(mask: Mask, ignored: Mask | None, z: int) -> Mask:
    return mask if ignored is None else mask & ~ignored[z]

"""A slice on which the crowd failed, told by its neighbours and replaced by what lies between them.

Two slices differ by d, the Jaccard distance 1 - IoU of what is inside: 0 for nothing against
nothing, 1 for something against nothing, and never less than the areas' ratio allows, so that a
jump of the area shows too. It is a metric: of slices that change steadily, one between two
others differs from each of them by less than they from one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from volproc.drawing import Patch, bounding_box
from volproc.stages.annotate.geometry.outline import INSIDE

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Why = Literal["unlike its neighbours", "low agreement"]
_Distance = Callable[[int, int], float]

HALO = 2
"""Slices on either side that decide on a slice."""

MARGIN = 0.1
"""How much more than its neighbours differ from one another a slice must differ from both."""

LOW_AGREEMENT = 0.6
"""Share of what was marked that volunteers agree on, below which a slice has no margin."""


@dataclass(frozen=True)
class Replacement:
    """Slice `index` of a stack, replaced by what lies between slices `before` and `after`."""

    index: int
    before: int
    after: int
    why: Why


def failures(slices: Sequence[Patch | None]) -> list[Replacement]:
    """Slices that do not fit between their neighbours; None stands for one nobody looked at.

    A slice, or two in a row, fails between the next ones on either side if it differs from both
    by MARGIN more than these differ from one another; by anything more where volunteers agree
    less than LOW_AGREEMENT and less than there. It stands where that is true of a neighbour
    instead; a single one also if the slices beyond its neighbours are more like it than like
    them. HALO slices before and after a slice decide on it, and no others; the
    first and the last of the whole stack cannot fail, nor one that nobody looked at.
    """
    distance = cache(lambda a, b: _jaccard(_known(slices[a]), _known(slices[b])))
    found = (_failure(slices, k, distance) for k in range(1, len(slices) - 1))
    return [one for one in found if one is not None]


def replace_failures(
    slices: Sequence[Patch | None], *, nm: tuple[float, float], shape_yx: tuple[int, int]
) -> tuple[list[Patch | None], list[Replacement]]:
    """The stack with its failures replaced, and which they were; voxels measure `nm` (y, x).

    `shape_yx` is the image's: an object that leaves it goes on beyond.

    All slices of a block are as in the whole volume if it has HALO slices more on either side.
    """
    found = failures(slices)
    mended = list(slices)
    for one in found:
        before, after = _known(slices[one.before]), _known(slices[one.after])
        position = (one.index - one.before) / (one.after - one.before)
        mended[one.index] = between(before, after, position=position, nm=nm, shape_yx=shape_yx)
    return mended, found


def between(
    before: Patch,
    after: Patch,
    *,
    position: float,
    nm: tuple[float, float],
    shape_yx: tuple[int, int],
) -> Patch:
    """The agreement at `position` between two slices: above 0, the one before, and below 1.

    The distances to both outlines, inside positive, are averaged by position: p and q. Inside is
    where the mean is not negative. The agreement is (1 + (p + q) / (|p| + |q|)) / 2, so it is 1
    and 0 where both slices say so, and passes 0.5 on the outline between theirs. On the way to a
    slice with nothing, an object loses its depth evenly.
    """
    start, a, b = _both(before, after)
    found = bounding_box(a | b)
    if found is None:
        return Patch((0, 0), np.zeros((0, 0), dtype=np.float32))
    # a voxel more on all sides: the background tells how deep the object is
    first = np.maximum([low + side.start - 1 for low, side in zip(start, found, strict=True)], 0)
    last = [low + side.stop + 1 for low, side in zip(start, found, strict=True)]
    stop = np.minimum(last, shape_yx)
    masks = [patch.cut(first, stop) >= INSIDE for patch in (before, after)]
    depth = max(float(_depth(mask, nm).max()) for mask in masks)
    p = (1 - position) * _signed_distance(masks[0], nm, nothing=-position * depth)
    q = position * _signed_distance(masks[1], nm, nothing=(position - 1) * depth)
    agreement = (1 + (p + q) / (np.abs(p) + np.abs(q))) / 2
    return Patch((int(first[0]), int(first[1])), agreement.astype(np.float32))


def agreed(patch: Patch) -> float:
    """Share of what anyone marked that volunteers agree on: 1 if all marked the same.

    It is a soft IoU: the votes for what is inside, over the voxels inside plus the votes outside.
    """
    inside = patch.values >= INSIDE
    for_it = float(patch.values[inside].sum())
    either = float(np.count_nonzero(inside)) + float(patch.values[~inside].sum())
    return for_it / either if either else 1.0


def _failure(slices: Sequence[Patch | None], k: int, distance: _Distance) -> Replacement | None:
    """What slice k fails as: alone, or with the one after or before it."""
    for before, after in ((k - 1, k + 1), (k - 1, k + 2), (k - 2, k + 1)):
        if before < 0 or after >= len(slices):
            continue
        if any(slices[one] is None for one in range(before, after + 1)):
            continue
        row = range(before + 1, after)
        here = [agreed(_known(slices[one])) for one in row]
        beside = min(agreed(_known(slices[one])) for one in (before, after))
        if beside < min(LOW_AGREEMENT, *here):  # the neighbours are the ones in doubt
            continue
        margin = 0.0 if max(here) < min(LOW_AGREEMENT, beside) else MARGIN
        if _outlier(row, before, after, margin, distance) and not _supported(
            slices, row, before, after, distance
        ):
            return Replacement(
                k, before, after, "unlike its neighbours" if margin else "low agreement"
            )
    return None


def _outlier(row: range, before: int, after: int, margin: float, distance: _Distance) -> bool:
    usual = distance(before, after) + margin
    return all(distance(one, beside) > usual for one in row for beside in (before, after))


def _supported(
    slices: Sequence[Patch | None], row: range, before: int, after: int, distance: _Distance
) -> bool:
    """Whether the slices beyond the neighbours are like this one: then who is the outlier?"""
    if len(row) > 1:  # of two in a row, each would have to look farther than HALO
        return False
    beyond = [
        (outer, beside)
        for outer, beside in ((before - 1, before), (after + 1, after))
        if 0 <= outer < len(slices) and slices[outer] is not None
    ]
    return bool(beyond) and all(
        distance(row[0], outer) < distance(outer, beside) for outer, beside in beyond
    )


def _jaccard(one: Patch, other: Patch) -> float:
    _, a, b = _both(one, other)
    either = np.count_nonzero(a | b)
    return 1 - np.count_nonzero(a & b) / either if either else 0.0


def _both(one: Patch, other: Patch) -> tuple[npt.NDArray[np.intp], Mask, Mask]:
    """What is inside on two slices, in one box; its first voxel is told too."""
    first = np.minimum(one.origin_yx, other.origin_yx)
    ends = [np.add(patch.origin_yx, patch.values.shape) for patch in (one, other)]
    stop = np.maximum(*ends)
    return first, one.cut(first, stop) >= INSIDE, other.cut(first, stop) >= INSIDE


def _signed_distance(mask: Mask, nm: tuple[float, float], *, nothing: float) -> Floats:
    """Distance to the nearest voxel of the other kind, negative outside; nm."""
    if not mask.any():
        return np.full(mask.shape, nothing)
    return _depth(mask, nm) - _depth(~mask, nm)


def _depth(mask: Mask, nm: tuple[float, float]) -> Floats:
    """Distance of each voxel of the mask to the nearest one outside, 0 there; nm."""
    if mask.all():  # an object without an end is as deep as the box is long
        return np.full(mask.shape, float(np.hypot(*np.multiply(mask.shape, nm))))
    depth: Floats = ndimage.distance_transform_edt(mask, sampling=nm)
    return depth


def _known(patch: Patch | None) -> Patch:
    assert patch is not None  # asked of slices somebody looked at only
    return patch

"""Slices on which the crowd failed, found and replaced by means of their neighbours.

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

from volproc.drawing import Patch, Window, Yx, bounding_box
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
    less than LOW_AGREEMENT and less than there. It does not fail where that is true of a neighbour
    instead; nor does a single one if the slices beyond its neighbours are more like it than like
    them. HALO slices before and after a slice decide on it, and no others. The first and the last
    of the whole stack cannot fail, nor one that nobody looked at.

        outer    before   [ here ]   after    outer        here fails if it is far from both
          k-2      k-1       k        k+1      k+2         before and after, while these are alike
          k-2      k-1       k  k+1   k+2                  two in a row: judged together
    """
    distance = cache(lambda a, b: _jaccard(_known(slices[a]), _known(slices[b])))
    found = (_failure(slices, k, distance) for k in range(1, len(slices) - 1))
    return [one for one in found if one is not None]


def replace_failures(
    slices: Sequence[Patch | None], *, nm: tuple[float, float], shape_yx: Yx
) -> tuple[list[Patch | None], list[Replacement]]:
    """The stack with its failures replaced, and which they were; voxels measure `nm` (y, x).

    `shape_yx` is the image's: an object that leaves it goes on beyond. All slices of a block are as
    in the whole volume if it has HALO slices more on either side.
    """
    found = failures(slices)
    replaced = list(slices)
    for one in found:
        before, after = _known(slices[one.before]), _known(slices[one.after])
        position = (one.index - one.before) / (one.after - one.before)
        replaced[one.index] = between(before, after, position=position, nm=nm, shape_yx=shape_yx)
    return replaced, found


def between(
    before: Patch, after: Patch, *, position: float, nm: tuple[float, float], shape_yx: Yx
) -> Patch:
    """The agreement at `position` between two slices: above 0, the one before, and below 1.

    The distances to both outlines, inside positive, are averaged by position: p and q. Inside is
    where the mean is not negative. The agreement is (1 + (p + q) / (|p| + |q|)) / 2, so it is 1
    and 0 where both slices are, and passes 0.5 on the outline between theirs. Towards a slice with
    nothing, an object loses its depth evenly.
    """
    window, a, b = _both(before, after)
    found = bounding_box(a | b)
    if found is None:
        return Patch((0, 0), np.zeros((0, 0), dtype=np.float32))
    # a voxel more on all sides: the background tells how deep the object is
    low, high = (np.add(window.start, end) for end in (found.start, found.stop))
    around = Window.around(low - 1, high + 1, shape_yx)
    masks = [patch.cut(around) >= INSIDE for patch in (before, after)]
    depth = max(float(_depth(mask, nm).max()) for mask in masks)
    p = (1 - position) * _signed_distance(masks[0], nm, nothing=-position * depth)
    q = position * _signed_distance(masks[1], nm, nothing=(position - 1) * depth)
    agreement = (1 + (p + q) / (np.abs(p) + np.abs(q))) / 2
    return Patch(around.start, agreement.astype(np.float32))


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
        there = min(agreed(_known(slices[one])) for one in (before, after))
        if there < min(LOW_AGREEMENT, *here):  # the neighbours are the ones in doubt
            continue
        margin = 0.0 if max(here) < min(LOW_AGREEMENT, there) else MARGIN
        fails = _outlier(row, before, after, margin, distance)
        if fails and not _supported(slices, row, before, after, distance):
            why: Why = "unlike its neighbours" if margin else "low agreement"
            return Replacement(k, before, after, why)
    return None


def _outlier(row: range, before: int, after: int, margin: float, distance: _Distance) -> bool:
    usual = distance(before, after) + margin
    return all(distance(one, beside) > usual for one in row for beside in (before, after))


def _supported(
    slices: Sequence[Patch | None], row: range, before: int, after: int, distance: _Distance
) -> bool:
    """Whether the slices beyond the neighbours are like this one: then the neighbours fail."""
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


def _both(one: Patch, other: Patch) -> tuple[Window, Mask, Mask]:
    """What is inside on two slices, in one window."""
    window = one.window.join(other.window)
    return window, one.cut(window) >= INSIDE, other.cut(window) >= INSIDE


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
    assert patch is not None  # only slices that somebody looked at are compared
    return patch

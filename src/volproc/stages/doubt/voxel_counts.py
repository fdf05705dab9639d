"""The first pass over the voxels: what a block counts of its objects, as whole numbers that add up.

A block reads FAR voxels more on every side, so that faces and corners at its border are those of
the whole volume. Each face belongs to the block of the object's voxel, each corner of the lattice
to the block of the voxel behind it:

    |  a  a | a  0      the core ends at |: the face between the last a and 0 is counted by the
    |  a  a | 0  0      second block, the corner in the middle as well
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Box, Shape, each
from volproc.stages.objects.components import Labels

Integers = npt.NDArray[np.int64]

COLUMNS = (
    "surface",  # voxels with a face to something else
    "spread",  # sum over these of the highest less the lowest vote
    "split",  # voxels where some axes say yes and some no
    "unsure",  # voxels whose mean vote is below UNSURE
    "vote",  # sum over all voxels of the votes of all axes
    "faces",  # faces to anything else within the volume
    "border",  # faces on the volume's border
    "step",  # sum over the faces of the votes inside less those outside
    "open",  # faces whose outside reaches the threshold as well
    "beside",  # faces with another object at most NEAR voxels in front of them
    "area_z",
    "area_y",
    "area_x",  # faces across each axis, those on the volume's border included
    "euler",  # Euler characteristic: 1 for a lump, less for each tunnel, more for each cavity
    "yes_0",
    "yes_1",
    "yes_2",  # voxels to which each axis says yes
    "facing",  # faces with another object at most FAR voxels in front of them
    "beyond",  # sum over faces of the voxels in front, NEAR at most, where some axis says yes
)
MOST_AXES = 3
NEAR = 3
"""Voxels: where an object was split, its parts are so near."""
FAR = 6
"""Voxels: the widest gap across which two objects may be parts of one."""
UNSURE = 0.75
"""Mean vote below which a voxel of an object is unsure."""


class Votes(NamedTuple):
    """What is kept of the votes of a box: sums over `axes` axes, and who says yes, a bit for each.

    An axis says yes from `level` on, a vote is weak from half of it on.
    """

    total: npt.NDArray[np.uint16]
    spread: npt.NDArray[np.uint8]
    yes: npt.NDArray[np.uint8]
    weak: npt.NDArray[np.bool_]
    axes: int
    level: int


def votes_of(values: npt.NDArray[np.uint8], *, level: int) -> Votes:
    """Of votes of shape (axes, z, y, x), or of one probability of shape (z, y, x)."""
    values = values[None] if values.ndim == 3 else values
    axes = len(values)
    yes = np.zeros(values.shape[1:], np.uint8)
    for n, one in enumerate(values[:MOST_AXES]):
        yes |= (one >= level).astype(np.uint8) << n
    highest = values.max(axis=0)
    return Votes(
        values.sum(axis=0, dtype=np.uint16),
        highest - values.min(axis=0),
        yes,
        2 * highest.astype(np.uint16) >= level,
        axes,
        level,
    )


def no_votes(shape: Shape) -> Votes:
    """Of labels alone: arrays that take no memory."""
    nothing = np.broadcast_to(np.uint8(0), shape)
    total = np.broadcast_to(np.uint16(0), shape)
    return Votes(total, nothing, nothing, nothing.view(np.bool_), 0, 1)


def object_counts(
    local: Labels, count: int, votes: Votes, *, box: Box, core: Box, shape: Shape
) -> Integers:
    """A row of COLUMNS for each id from 1 to `count` of the labels of a `box`, of its `core` only.

    `shape` is that of the volume. Labels and votes have the shape of the box.
    """
    rows = np.zeros((count + 1, len(COLUMNS)), np.int64)
    inner = core.within(box.start)
    how = np.array([votes.axes, votes.level, int(4 * UNSURE * 255)], np.int64)
    _count_voxels(local, votes.total, votes.spread, votes.yes, inner.start, inner.stop, how, rows)
    # a layer of nothing behind the volume: its last corners belong to the last blocks
    ends = each(lambda b, n: int(b == n), core.stop, shape)
    starts = each(lambda a: int(a == 0), core.start)
    padded = np.pad(local, [*zip(starts, ends, strict=True)])
    first = each(lambda a, s: a + s, inner.start, starts)
    last = each(lambda b, s, e: b + s + e, inner.stop, starts, ends)
    _count_corners(padded, first, last, _EULER, rows[:, COLUMNS.index("euler")])
    return rows[1:]


def _euler_of(octants: int) -> int:
    """What a corner adds to the Euler characteristic: itself, the edges, faces and voxel behind it.

    Bit 4 dz + 2 dy + dx of `octants` says whether the voxel on that side is the object's.
    """
    here = [n for n in range(8) if octants >> n & 1]
    corner = bool(here)
    edges = sum(any(n & axis for n in here) for axis in (4, 2, 1))
    faces = sum(any(n & plane == plane for n in here) for plane in (6, 5, 3))
    return corner - edges + faces - (7 in here)


_EULER = np.array([_euler_of(octants) for octants in range(256)], np.int64)


@compiled
def _count_voxels(  # the columns are those of COLUMNS, by number
    local: Labels,
    total: npt.NDArray[np.uint16],
    spread: npt.NDArray[np.uint8],
    yes: npt.NDArray[np.uint8],
    first: Shape,
    last: Shape,
    how: Integers,
    rows: Integers,
) -> None:
    axes, level, unsure = how
    everyone = 2 ** min(axes, 3) - 1
    for z in range(first[0], last[0]):
        for y in range(first[1], last[1]):
            for x in range(first[2], last[2]):
                label = local[z, y, x]
                if label == 0:
                    continue
                row = rows[label]
                here = np.int64(total[z, y, x])
                row[4] += here
                said = yes[z, y, x]
                row[2] += said != 0 and said != everyone
                row[3] += 4 * here < unsure * axes
                for axis in range(min(axes, 3)):
                    row[14 + axis] += (said >> axis) & 1
                if _count_faces(local, total, yes, (z, y, x), label, axes, level, row):
                    row[0] += 1
                    row[1] += spread[z, y, x]


@compiled
def _count_faces(
    local: Labels,
    total: npt.NDArray[np.uint16],
    yes: npt.NDArray[np.uint8],
    at: Shape,
    label: int,
    axes: int,
    level: int,
    row: Integers,
) -> int:
    """Add the faces of a voxel; how many of them are to something else within the volume."""
    found = 0
    for side in range(6):
        axis, step = side // 2, 2 * (side % 2) - 1
        z = at[0] + (step if axis == 0 else 0)
        y = at[1] + (step if axis == 1 else 0)
        x = at[2] + (step if axis == 2 else 0)
        # the box ends where the volume does, or some voxels behind the core
        if z < 0 or y < 0 or x < 0:
            outside = True
        else:
            outside = z == local.shape[0] or y == local.shape[1] or x == local.shape[2]
        if outside:
            row[6] += 1
            row[10 + axis] += 1
        elif local[z, y, x] != label:
            there = np.int64(total[z, y, x])
            row[5] += 1
            row[7] += np.int64(total[at[0], at[1], at[2]]) - there
            row[8] += axes > 0 and 2 * there >= (2 * level - 1) * axes
            row[10 + axis] += 1
            gap, seen = _in_front(local, yes, (z, y, x), label, axis, step)
            row[9] += gap <= NEAR
            row[17] += gap <= FAR
            row[18] += seen
            found += 1
    return found


@compiled
def _in_front(
    local: Labels, yes: npt.NDArray[np.uint8], at: Shape, label: int, axis: int, step: int
) -> tuple[int, int]:
    """From a voxel on along an axis: the number of the first one of another object, if it comes
    before the same object's (else more than FAR); and of no object, to which some axis says yes."""
    z, y, x = at
    seen = 0
    for n in range(FAR):
        if z < 0 or y < 0 or x < 0:
            return FAR + 1, seen
        if z >= local.shape[0] or y >= local.shape[1] or x >= local.shape[2]:
            return FAR + 1, seen
        if local[z, y, x] != 0:
            return (n + 1 if local[z, y, x] != label else FAR + 1), seen
        seen += n < NEAR and yes[z, y, x] != 0
        z += step if axis == 0 else 0
        y += step if axis == 1 else 0
        x += step if axis == 2 else 0
    return FAR + 1, seen


@compiled
def _count_corners(
    local: Labels, first: Shape, last: Shape, euler: Integers, found: Integers
) -> None:
    """Add the Euler characteristic of every object, corner by corner."""
    around = np.zeros(8, np.uint32)
    for z in range(first[0], last[0]):
        for y in range(first[1], last[1]):
            for x in range(first[2], last[2]):
                same = True
                for n in range(8):
                    around[n] = local[z - 1 + (n >> 2), y - 1 + (n >> 1 & 1), x - 1 + (n & 1)]
                    same = same and around[n] == around[0]
                if same:  # inside of an object: 1 - 3 + 3 - 1
                    continue
                _add_corner(around, euler, found)


@compiled
def _add_corner(around: Labels, euler: Integers, found: Integers) -> None:
    for n in range(8):
        label = around[n]
        octants, earlier = 0, False
        for m in range(8):
            if around[m] == label:
                octants |= 1 << m
                earlier = earlier or m < n
        if label and not earlier:
            found[label] += euler[octants]

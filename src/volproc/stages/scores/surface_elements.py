"""Elements of a mask's surface: where they lie, and how long or large each is.

Where the voxels around a corner of the grid (four in a plane, eight in space) are not all alike,
the corner is an element of the surface: of the line or sheet that parts them. So does
google-deepmind/surface-distance, and sizes are the same.

    1 1      1 0      1 0      1 1      0 = background; lengths for voxels of y x x nm:
    0 0      1 0      0 0      1 0      x, y, and half a diagonal for one or three of a kind;
                                        1 0 over 0 1 (two opposite ones): a whole diagonal
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations, product
from math import hypot

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_CORNER = ((1, 1, 1),)
"""The triangle that cuts off one of eight voxels. Its normal in eighths of a voxel's faces: as long
as it is large."""


@dataclass(frozen=True)
class Elements:
    """Corners of the grid, shape (n, 2 or 3), and which voxels around each are inside, (n,).

    Corner i lies between the voxels i - 1 and i. `codes` are places in `element_sizes`.
    """

    corners: npt.NDArray[np.int32]
    codes: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.codes)

    def among(self, start: Sequence[int], stop: Sequence[int]) -> Elements:
        """Those with corners from `start` up to, not including, `stop`."""
        kept = np.ones(len(self), dtype=bool)
        for axis, (first, end) in enumerate(zip(start, stop, strict=True)):
            kept &= (self.corners[:, axis] >= first) & (self.corners[:, axis] < end)
        return Elements(self.corners[kept], self.codes[kept])

    def shift(self, by: Sequence[int]) -> Elements:
        """The same elements, counted from elsewhere."""
        return Elements(self.corners + np.array(by, dtype=np.int32), self.codes)


def surface_elements(
    mask: Mask, *, at_border: bool = True, ignored: Mask | None = None
) -> Elements:
    """The elements of a mask of 2 or 3 axes.

    Beyond the mask is background, so an object that leaves it is closed along the border, unless
    `at_border` says that elements on the border do not count. Nor do those next to a voxel that is
    `ignored`.
    """
    box = _occupied(mask)
    if box is None:
        return Elements(np.empty((0, mask.ndim), np.int32), np.empty(0, np.uint8))
    # one layer of background: corner i of `codes` then lies at the box' corner plus i
    codes = _codes(np.pad(mask[box], 1))
    full = 2 ** (2**mask.ndim) - 1
    flat = np.flatnonzero((codes != 0) & (codes != full))
    found = Elements(_places(flat, codes.shape), codes.reshape(-1)[flat])
    found = found.shift([s.start for s in box])
    if not at_border:
        found = found.among([1] * mask.ndim, mask.shape)
    return found if ignored is None else _without(found, ignored)


def element_sizes(nm: Sequence[float]) -> Floats:
    """Lengths (nm; voxels of y x x) or areas (nm²; z x y x x) by code, shape (16,) or (256,)."""
    return _sizes(tuple(nm))


@cache
def _sizes(nm: tuple[float, ...]) -> Floats:
    sizes = _lengths(nm) if len(nm) == 2 else _areas(nm)
    sizes.flags.writeable = False  # all share it
    return sizes


def _places(flat: npt.NDArray[np.int64], shape: Sequence[int]) -> npt.NDArray[np.int32]:
    """Of flat indices into an array of `shape`, those of each axis; one by one, to save memory."""
    places = np.empty((len(flat), len(shape)), dtype=np.int32)
    for axis in reversed(range(len(shape))):
        flat, places[:, axis] = np.divmod(flat, shape[axis])
    return places


def _occupied(mask: Mask) -> tuple[slice, ...] | None:
    """The smallest box that holds all voxels inside; None if there is none."""
    box: tuple[slice, ...] = ()
    for _ in range(mask.ndim):
        # axis by axis, within the box so far: the first pass looks at all, the others at less
        part = mask[box]
        others = tuple(a for a in range(mask.ndim) if a != len(box))
        there = np.flatnonzero(part.any(axis=others))
        if not len(there):
            return None
        box = (*box, slice(int(there[0]), int(there[-1]) + 1))
    return box


def _codes(inside: Mask) -> npt.NDArray[np.uint8]:
    """Bit k is set where voxel k around a corner is inside, in the order of `product`.

    Pairs along the last axis, then pairs of pairs: three passes instead of eight.
    """
    codes = inside.view(np.uint8)
    for axis in reversed(range(inside.ndim)):
        bits = np.uint8(2 ** (inside.ndim - 1 - axis))
        along = np.moveaxis(codes, axis, 0)
        codes = np.moveaxis(along[:-1] | (along[1:] << bits), 0, axis)
    return codes


def _without(found: Elements, ignored: Mask) -> Elements:
    """Elements of whose voxels none is ignored; beyond the array none is."""
    kept = np.ones(len(found), dtype=bool)
    last = np.array(ignored.shape) - 1
    for offset in product((-1, 0), repeat=ignored.ndim):
        there = found.corners + offset
        inside = ((there >= 0) & (there <= last)).all(axis=1)
        kept &= ~(inside & ignored[tuple(np.clip(there, 0, last).T)])
    return Elements(found.corners[kept], found.codes[kept])


def _lengths(nm: Sequence[float]) -> Floats:
    """Of the line in a square of four voxels, by which of them are inside (bits 0 to 3)."""
    y, x = nm
    diagonal = hypot(y, x)
    straight = {0b0011: x, 0b1100: x, 0b0101: y, 0b1010: y}
    crossing = {0b0000: 0.0, 0b1111: 0.0, 0b0110: diagonal, 0b1001: diagonal}
    known = straight | crossing
    return np.array([known.get(code, diagonal / 2) for code in range(16)])


def _areas(nm: Sequence[float]) -> Floats:
    """Of the sheet in a cube of eight voxels, by which of them are inside (bits 0 to 7)."""
    z, y, x = nm
    faces = np.array([y * x, z * x, z * y]) / 8
    normals = [_sheet(code) for code in range(256)]
    return np.array([np.linalg.norm(np.reshape(n, (-1, 3)) * faces, axis=1).sum() for n in normals])


def _sheet(code: int) -> list[tuple[int, ...]]:
    """Normals of the triangles of a cube's sheet.

    The fewer voxels decide, those inside or those outside: each group of them that is connected by
    faces has a sheet of its own.
    """
    inside = [p for k, p in enumerate(product((0, 1), repeat=3)) if code >> k & 1]
    if len(inside) > 4:
        inside = [p for p in product((0, 1), repeat=3) if p not in inside]
    return [normal for group in _groups(inside) for normal in _group_sheet(group)]


def _groups(voxels: list[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    groups: list[list[tuple[int, ...]]] = []
    for voxel in voxels:
        near = [g for g in groups if any(_axis(voxel, other) is not None for other in g)]
        groups = [g for g in groups if g not in near] + [[*chain(*near), voxel]]
    return groups


def _group_sheet(group: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """One voxel; two; three around a corner; a face; three at one; four in a row that turns."""
    links = [(a, b) for a, b in combinations(group, 2) if _axis(a, b) is not None]
    axes = [_axis(a, b) for a, b in links]
    flat = [tuple(4 * (axis == free) for axis in range(3)) for free in {0, 1, 2} - {*axes}]
    if len(group) == 1:
        return [*_CORNER]
    if len(group) == 2:
        return [_slope(axes[0])] * 2
    if len(group) == 3:
        return [*flat, *_CORNER * 3]
    if len(links) == 4:
        return flat * 2
    degree = {voxel: sum(voxel in link for link in links) for voxel in group}
    if max(degree.values()) == 3:
        return [*_CORNER * 6]
    ends = (link for link in links if min(degree[a] for a in link) == 1)
    return [*(_slope(_axis(*link)) for link in ends), *_CORNER * 4]


def _slope(axis: int | None) -> tuple[int, ...]:
    """Half of the sheet that cuts off two voxels along an axis."""
    return tuple(2 * (a != axis) for a in range(3))


def _axis(a: tuple[int, ...], b: tuple[int, ...]) -> int | None:
    """The axis along which two voxels are neighbours; None if they are not."""
    differ = [axis for axis in range(3) if a[axis] != b[axis]]
    return differ[0] if len(differ) == 1 else None

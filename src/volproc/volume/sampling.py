"""Voxels of one volume at the centres of another's.

    volume     |-----|-----|-----|-----|-----|-----|     at odd factors a centre lies in a voxel,
    grid       |--------x--------|--------x--------|     which is taken

    volume     |-----|-----|-----|-----|-----|-----|     at even ones on the border of two, of four
    grid       |-----x-----|-----x-----|-----x-----|     or of eight: all of these have a say

So what is symmetrical stays so, and in phase with a resampled image. Volumes meet in nm, where
their metadata put them (`VolumeInfo.corner_nm`), never by index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.grid.box import Box, Shape, each, whole_box
from volproc.grid.scale import VoxelNm, covered, covering, nearest
from volproc.volume.metadata import PositionNm, VolumeInfo

PLACES = "in the metadata, or ingest it with --position-nm Z Y X"
"""Where a translation is corrected."""
TOLERANCE = 0.01
"""Voxels by which places may differ and still be one: what writers round."""


@dataclass(frozen=True)
class Sampling:
    """From a volume of `shape` to a grid that is `factor` times coarser per axis.

    The grid's corner lies `offset` voxels of the volume behind the volume's corner.
    """

    shape: Shape
    factor: tuple[float, float, float]
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def source(self, box: Box) -> Box:
        """Voxels of the volume that `box` of the new grid needs."""
        return covering(box, factor=self.factor, shape_in=self.shape, offset=self.offset)

    def covered(self, shape: Shape, *, slack: float = 1.0) -> Box:
        """Voxels of a new grid of `shape` that lie in the volume; see `grid.scale.covered`."""
        ranges = each(
            lambda n, m, f, o: covered(n, size_in=m, factor=f, offset=o, slack=slack),
            *(shape, self.shape, self.factor, self.offset),
        )
        return Box(each(lambda r: r[0], ranges), each(lambda r: r[1], ranges))

    def fills(self, shape: Shape) -> bool:
        """Whether a new grid of `shape` and the volume are of one space, ends rounded."""
        ends = zip(shape, self.factor, self.shape, strict=True)
        return not any(self.offset) and all(abs(n * f - m) < max(1.0, f) for n, f, m in ends)

    @property
    def has_ties(self) -> bool:
        """Whether centres of the grid's voxels lie on borders of the volume's."""
        return any(np.any(low != high) for low, high in self._sides(whole_box(self._shape_out)))

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
        """Labels or a mask in `box`, from the `values` of `source(box)`; leading axes are kept.

        Of several voxels that are equally near to a centre: 0 if more than half of them are, else
        what most of the others are, of labels as frequent the least.
        """
        parts = self._parts(values, box)
        if len(parts) == 1:
            return np.ascontiguousarray(parts[0])
        found, differ = parts[0].copy(), np.zeros(parts[0].shape, np.bool_)
        for part in parts[1:]:
            differ |= part != found
        at = np.nonzero(differ)
        found[at] = _of_most(np.stack([part[at] for part in parts]))
        return found

    def sample_mean(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
        """The same of grey values or shares, of which the mean is taken; whole numbers stay so."""
        parts = self._parts(values, box)
        if len(parts) == 1:
            return np.ascontiguousarray(parts[0])
        total = np.zeros(parts[0].shape, np.result_type(values.dtype, np.float32))
        for part in parts:
            total += part
        total /= len(parts)
        return total if values.dtype.kind == "f" else np.rint(total).astype(values.dtype)

    def sample_reached(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
        """The same of levels: the highest that half of them reach.

        So a level that is sampled reaches a threshold where the mask of those that reach it does.
        """
        parts = self._parts(values, box)
        if len(parts) == 1:
            return np.ascontiguousarray(parts[0])
        return np.asarray(np.sort(np.stack(parts), axis=0)[len(parts) // 2])

    def _parts(self, values: npt.NDArray[Any], box: Box) -> list[npt.NDArray[Any]]:
        """Views of what is nearest to the centres, on all sides of them: 1, 2, 4 or 8."""
        parts, source = [values], self.source(box)
        for axis, (low, high) in enumerate(self._sides(box)):
            sides = (low,) if np.array_equal(low, high) else (low, high)
            parts = [
                _picked(part, side - source.start[axis], axis - 3)
                for part in parts
                for side in sides
            ]
        return parts

    def _sides(self, box: Box) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        axes = zip(box.start, box.stop, self.shape, self.factor, self.offset, strict=True)
        for start, stop, size, factor, offset in axes:
            yield nearest(start, stop, size_in=size, factor=factor, offset=offset)

    @property
    def _shape_out(self) -> Shape:
        """Voxels of the grid up to the end of the volume, about."""
        return each(lambda n, f, o: max(1, ceil((n - o) / f)), self.shape, self.factor, self.offset)


def _picked(values: npt.NDArray[Any], indices: npt.NDArray[np.intp], axis: int) -> npt.NDArray[Any]:
    """`values` at indices along an axis; a view where they are evenly spaced."""
    steps = np.diff(indices)
    step = int(steps[0]) if len(steps) else 1
    if step < 1 or (steps != step).any():
        return values.take(indices, axis=axis)
    index = [slice(None)] * values.ndim
    index[axis] = slice(int(indices[0]), int(indices[-1]) + 1, step)
    return values[tuple(index)]


def _of_most(columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of each column of `columns` (n, m) what `Sampling.sample` says; they are sorted in place."""
    columns.sort(axis=0)
    counts = np.zeros(columns.shape, np.uint8)
    for row in columns:
        counts += columns == row
    is_zero = columns == 0
    counts[is_zero] = 0
    chosen = counts.argmax(axis=0)[None]
    most: npt.NDArray[Any] = np.take_along_axis(columns, chosen, axis=0)[0]
    most[2 * np.count_nonzero(is_zero, axis=0) > len(columns)] = 0
    return most


def overlap(
    info: VolumeInfo,
    other: VolumeInfo,
    *,
    level: int = 0,
    slack: float = 1.0,
    grid: tuple[Shape, VoxelNm] | None = None,
) -> tuple[Sampling, Box]:
    """How to see a `level` of `info` on the grid of `other`, and the voxels of the grid in both.

    `grid` is another one with the corner of `other`: its shape and voxel size. Ends that differ by
    less than `slack` voxels of the coarser grid are the same. VolumeError where the two meet
    nowhere, or where the same first voxel and other ends leave open whether voxel sizes are wrong
    or a position was lost: a volume at 0 does not say where it is, unless volproc cut it out.
    """
    offset_nm, here = _offset_nm(info, other), info.levels[level]
    shape, voxel_nm = grid or (other.shape, other.voxel_nm)
    sure = (_is_placed(info) and _is_placed(other)) or info.is_part or other.is_part
    if not any(offset_nm) and not sure:
        coarsest = each(max, info.voxel_nm, other.voxel_nm, voxel_nm)
        _require_same_ends(info, other, each(lambda v: slack * v, coarsest))
    sampling = Sampling(
        here.shape,
        each(lambda a, b: float(b / a), here.voxel_nm, voxel_nm),
        # rounded, or the noise of summing floats moves centres over the edges of voxels
        each(lambda o, v: round(o / v, 3), offset_nm, here.voxel_nm),
    )
    both = sampling.covered(shape, slack=slack)
    if not both.size:
        raise VolumeError(
            f"{_place(info)}, {_place(other)}: they meet nowhere; correct the translation or the "
            f"voxel size of the one that is misplaced, {PLACES}"
        )
    return sampling, both


def level_not_coarser(info: VolumeInfo, voxel_nm: VoxelNm) -> int:
    """The coarsest level whose voxels are no larger than `voxel_nm`, 1% aside; else the finest."""
    fine = (
        number
        for number, level in enumerate(info.levels)
        if all(here <= 1.01 * there for here, there in zip(level.voxel_nm, voxel_nm, strict=True))
    )
    return max(fine, default=0)


def sampling_to(info: VolumeInfo, other: VolumeInfo, *, level: int = 0) -> Sampling:
    """How to see a `level` of `info` on the grid of `other`; VolumeError unless it covers it.

    The end may differ by less than one voxel of the coarser grid.
    """
    sampling, both = overlap(info, other, level=level)
    if both != other.box:
        raise VolumeError(
            f"{_place(info)}, {_place(other)}, of which it covers a part only; crop the second to "
            f"the first, or correct the translation or the voxel size {PLACES}"
        )
    return sampling


def require_same_corner(info: VolumeInfo, other: VolumeInfo) -> None:
    """VolumeError unless `info` covers `other` and both begin at the same place."""
    if any(sampling_to(info, other).offset):
        raise VolumeError(
            f"{_place(info)}, {_place(other)}; they need the same first voxel: crop one, or "
            f"correct the translation {PLACES}"
        )


def _offset_nm(info: VolumeInfo, other: VolumeInfo) -> PositionNm:
    """From the corner of `info` to that of `other`; 0 where first voxels share corner or centre.

    Centres as well: volumes of one space whose metadata state no translation, or the same, were
    cut at one corner, whatever their voxels.
    """

    def distance(here: float, there: float, v: float, w: float) -> float:
        centres = there - here
        corners = centres - (w - v) / 2
        same = min(abs(centres), abs(corners)) <= TOLERANCE * min(v, w)
        return 0.0 if same else corners

    first, second = (one.levels[0].translation_nm for one in (info, other))
    return each(distance, first, second, info.voxel_nm, other.voxel_nm)


def stated_corner_nm(info: VolumeInfo) -> PositionNm | None:
    """The corner of a volume whose metadata say where it lies; None where they do not."""
    return info.corner_nm if _is_placed(info) else None


def box_at(corner_nm: PositionNm, shape: Shape, *, origin_nm: PositionNm, voxel_nm: VoxelNm) -> Box:
    """Voxels of a grid with its corner at `origin_nm` that `shape` voxels from `corner_nm` cover.

    Some may lie outside the grid.
    """

    def first(corner: float, origin: float, v: float) -> int:
        # half a voxel is no distance: a volume without a translation has its centre at 0
        return ceil((corner - origin) / v - 0.5 - TOLERANCE)

    start = each(first, corner_nm, origin_nm, voxel_nm)
    return Box(start, each(lambda a, n: a + n, start, shape))


def _is_placed(info: VolumeInfo) -> bool:
    return any(info.levels[0].translation_nm)


def _require_same_ends(info: VolumeInfo, other: VolumeInfo, slack_nm: PositionNm) -> None:
    for axis, name in enumerate("zyx"):
        here, there = info.voxel_nm[axis], other.voxel_nm[axis]
        ends = info.shape[axis] * here, other.shape[axis] * there
        if abs(ends[0] - ends[1]) >= slack_nm[axis]:
            raise VolumeError(
                f"{info.url} is {ends[0]:g} nm long along {name}, {other.url} is {ends[1]:g} nm, "
                "and both begin at the same place; they need the same field of view: check the "
                "voxel sizes, or crop one, or say where the smaller lies (translation) "
                f"{PLACES}"
            )


def _place(info: VolumeInfo) -> str:
    spans = (
        f"{name} {corner:.10g} to {corner + n * v:.10g}"
        for name, corner, n, v in zip("zyx", info.corner_nm, info.shape, info.voxel_nm, strict=True)
    )
    return f"{info.url} lies at {', '.join(spans)} nm"

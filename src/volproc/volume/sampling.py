"""Voxels of one volume at the centres of another's: for labels and masks, which have no means.

Volumes meet in nm, where their metadata put them (`VolumeInfo.corner_nm`), never by index.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.grid.box import Box, Shape, each
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

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
        """Voxels of `box`, from the `values` of `source(box)`; axes before z, y, x are kept."""
        source = self.source(box)
        # x first and z last: the result grows last by whole planes, which is copying only
        for axis in (2, 1, 0):
            indices = nearest(
                box.start[axis],
                box.stop[axis],
                size_in=self.shape[axis],
                factor=self.factor[axis],
                offset=self.offset[axis],
            )
            if len(indices) != source.shape[axis] or (np.diff(indices) != 1).any():
                values = values.take(indices - source.start[axis], axis=axis - 3)
        return values


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

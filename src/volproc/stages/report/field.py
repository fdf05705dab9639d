"""The part of the image that results cover, where only a part of it was worked on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy.typing as npt

from volproc.grid.box import Box, Shape, each
from volproc.volume.metadata import Level, VolumeInfo
from volproc.volume.sampling import require_same_corner, sampling_to
from volproc.volume.store import Volume


@dataclass(frozen=True)
class PartOfVolume(Volume):
    """A part of a volume as a volume of its own, for pictures: levels begin with whole voxels."""

    whole: Volume
    starts: tuple[Shape, ...]

    def read(self, box: Box, level: int = 0, *, channel: int | None = None) -> npt.NDArray[Any]:
        """Voxels of `box`, counted from the part's first."""
        return self.whole.read(box.shift(self.starts[level]), level, channel=channel)


def field_of(image: Volume, results: Sequence[Volume]) -> Volume:
    """What of the image is shown: where the results are.

    VolumeError if they cover another space than one another, or more than the image.
    """
    for other in results:
        if not results[0].info.is_part:
            require_same_corner(other.info, image.info)
        else:
            require_same_corner(other.info, results[0].info)
    return _part(image, results[0].info) if results and results[0].info.is_part else image


def _part(image: Volume, result: VolumeInfo) -> Volume:
    sampling = sampling_to(image.info, result)
    start = each(round, sampling.offset)
    stop = each(
        lambda a, n, f, size: min(size, max(a + 1, round(a + n * f))),
        *(start, result.shape, sampling.factor, image.info.shape),
    )
    box = Box(start, stop)
    if box == image.info.box:
        return image
    parts = [_level(image.info, level, box) for level in image.info.levels]
    levels, starts = zip(*parts, strict=True)
    return PartOfVolume(replace(image.info, levels=levels), image, starts)


def _level(info: VolumeInfo, level: Level, box: Box) -> tuple[Level, Shape]:
    """The part of a level that covers `box`, which is counted at the finest; where it begins."""
    factor = each(lambda v, w: w / v, info.voxel_nm, level.voxel_nm)
    start = each(lambda a, f, n: min(n - 1, int(a / f)), box.start, factor, level.shape)
    stop = each(lambda b, f, n: min(n, ceil(b / f - 1e-6)), box.stop, factor, level.shape)
    corner = each(lambda c, a, v: c + a * v, level.translation_nm, start, level.voxel_nm)
    shape = each(lambda b, a: b - a, stop, start)
    return replace(level, shape=shape, translation_nm=corner), start

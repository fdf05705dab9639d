"""Voxels of one grid at the centres of another's: for labels and masks, which have no means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.grid.box import Box, Shape, each
from volproc.grid.scale import covering, nearest
from volproc.volume.metadata import VolumeInfo


@dataclass(frozen=True)
class Sampling:
    """From a volume of `shape` to a grid with the same corner, `factor` times coarser per axis."""

    shape: Shape
    factor: tuple[float, float, float]

    def source(self, box: Box) -> Box:
        """Voxels of the volume that `box` of the new grid needs."""
        return covering(box, factor=self.factor, shape_in=self.shape)

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
        """Voxels of `box`, from the `values` of `source(box)`; axes before z, y, x are kept."""
        source = self.source(box)
        # x first and z last: the result grows last by whole planes, which is copying only
        for axis in (2, 1, 0):
            indices = nearest(
                box.start[axis], box.stop[axis], size_in=self.shape[axis], factor=self.factor[axis]
            )
            if len(indices) != source.shape[axis] or (np.diff(indices) != 1).any():
                values = values.take(indices - source.start[axis], axis=axis - 3)
        return values


def sampling_to(info: VolumeInfo, other: VolumeInfo) -> Sampling:
    """How to see `info` on the grid of `other`; VolumeError if they do not cover the same space.

    Their ends may differ by less than one voxel of the coarser grid.
    """
    for axis, name in enumerate("zyx"):
        here, there = info.voxel_nm[axis], other.voxel_nm[axis]
        ends = info.shape[axis] * here, other.shape[axis] * there
        if abs(ends[0] - ends[1]) >= max(here, there):
            raise VolumeError(
                f"{info.url} is {ends[0]:g} nm long along {name}, {other.url} is {ends[1]:g} nm; "
                "they need the same field of view: check the voxel sizes or crop one"
            )
    return Sampling(info.shape, each(lambda a, b: b / a, info.voxel_nm, other.voxel_nm))

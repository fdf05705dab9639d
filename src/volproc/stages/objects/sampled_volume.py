"""Another volume at the voxels of labels: an image or votes under objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from volproc.grid.box import Box
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.sampling import Sampling, level_not_coarser, sampling_to
from volproc.volume.store import Volume


@dataclass(frozen=True)
class SampledVolume:
    """Another volume at the labels' voxels, from its coarsest level that is not coarser."""

    volume: Volume
    level: int
    sampling: Sampling

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Values at the centres of the labels' voxels; channels stay first."""
        values = self.volume.read(self.sampling.source(box), self.level)
        return self.sampling.sample_mean(values, box)

    def bytes_under(self, box: Box) -> int:
        """What `read` reads for a box."""
        info = self.volume.info
        per_voxel = itemsize(info.dtype) * max(1, len(info.channels))
        return self.sampling.source(box).size * per_voxel


def sampled_at(labels: VolumeInfo, info: VolumeInfo) -> SampledVolume:
    """A volume at the voxels of `labels`; VolumeError unless it covers them."""
    level = level_not_coarser(info, labels.voxel_nm)
    return SampledVolume(Volume(info), level, sampling_to(info, labels, level=level))

"""Whether a model's voxels suit an image: the same rule before a training and when predicting."""

from __future__ import annotations

from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import VolumeInfo

MAX_REFINING = 2.0
"""An image with voxels more than this many times coarser than the model's is refused."""


def is_too_coarse(image: VolumeInfo, voxel_nm: VoxelNm) -> bool:
    """Whether some axis of the image has voxels too coarse for a model of `voxel_nm`."""
    return any(v > MAX_REFINING * m for v, m in zip(image.voxel_nm, voxel_nm, strict=True))

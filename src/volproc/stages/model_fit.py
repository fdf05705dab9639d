"""Whether a model's voxels suit an image: the same rule before a training and when predicting."""

from __future__ import annotations

from volproc.grid.box import each
from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import VolumeInfo

MAX_REFINING = 2.0
"""An image with voxels more than this many times coarser than the model's is refused."""


def why_too_coarse(image: VolumeInfo, voxel_nm: VoxelNm) -> str:
    """Along which axes it is, and which voxels would do; "" if none is too coarse."""
    coarse = each(lambda v, m: v > MAX_REFINING * m, image.voxel_nm, voxel_nm)
    if not any(coarse):
        return ""
    axes = " and ".join(axis for axis, beyond in zip("zyx", coarse, strict=True) if beyond)
    fitting = each(lambda v, m, beyond: v if beyond else m, image.voxel_nm, voxel_nm, coarse)
    return (
        f"{image.url} has voxels of {list(image.voxel_nm)} nm, more than {MAX_REFINING:g} times "
        f"coarser along {axes}: check that voxel size, or take a model of {list(fitting)} nm or so"
    )

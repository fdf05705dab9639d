"""Whether an image resolves what a model looks at: voxels that were never seen cannot be made."""

from __future__ import annotations

from volproc.grid.box import each
from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import VolumeInfo

MAX_REFINING = 2.0
"""An image with voxels more than this many times coarser than a model's, along any axis, is not for
it."""


def unresolved(image: VolumeInfo, voxel_nm: VoxelNm) -> str:
    """Why an image cannot be brought to voxels of `voxel_nm`, and to which it can; "" if it can."""
    coarse = [v > MAX_REFINING * m for v, m in zip(image.voxel_nm, voxel_nm, strict=True)]
    if not any(coarse):
        return ""
    axes = " and ".join(axis for axis, beyond in zip("zyx", coarse, strict=True) if beyond)
    fitting = each(lambda v, m, beyond: v if beyond else m, image.voxel_nm, voxel_nm, coarse)
    return (
        f"{image.url} has voxels of {list(image.voxel_nm)} nm, more than {MAX_REFINING:g} times "
        f"coarser along {axes}: check that voxel size, or take voxels such as {list(fitting)} nm"
    )

"""Which objects are kept. To keep other objects, change `kept` and add an option in config/."""

from __future__ import annotations

from math import ceil, prod

import numpy as np
import numpy.typing as npt

from volproc.grid.scale import VoxelNm
from volproc.stages.label.statistics import Statistics


def minimum_voxels(min_volume_um3: float, *, voxel_nm: VoxelNm) -> int:
    """Voxels from which an object has at least `min_volume_um3`.

    >>> minimum_voxels(1.25, voxel_nm=VoxelNm((50, 50, 50)))
    10000
    """
    # 1.25 / 0.000125 is a little over 10000 in floats: forgive what no measurement resolves
    return max(1, ceil(min_volume_um3 * 1e9 / prod(voxel_nm) * (1 - 1e-9)))


def kept(objects: Statistics, *, minimum: int) -> npt.NDArray[np.bool_]:
    """Which whole objects are kept: those of at least `minimum` voxels. Shape (n,)."""
    large: npt.NDArray[np.bool_] = objects.voxels >= minimum
    return large

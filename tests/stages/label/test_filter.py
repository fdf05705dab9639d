import numpy as np
import pytest

from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.filter import kept, minimum_voxels
from volproc.stages.label.statistics import block_statistics


@pytest.mark.parametrize(
    ("volume_um3", "voxel_nm", "voxels"),
    [
        (1.25, (50, 50, 50), 10_000),  # exactly, though 1.25 / 0.000125 is not in floats
        (1.25, (50, 10, 10), 250_000),
        (0.00013, (50, 50, 50), 2),
        (0.0, (50, 50, 50), 1),
    ],
)
def test_minimum_voxels(volume_um3, voxel_nm, voxels):
    assert minimum_voxels(volume_um3, voxel_nm=parse_voxel_nm(voxel_nm)) == voxels


def test_an_object_of_exactly_the_minimum_is_kept():
    labels = np.array([[[1, 1, 1, 0, 2, 2, 0, 3, 3, 3, 3]]], dtype=np.uint32)
    objects = block_statistics(labels, 3, origin=(0, 0, 0), shape=labels.shape)
    assert kept(objects, minimum=3).tolist() == [True, False, True]

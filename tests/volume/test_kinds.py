import numpy as np
import pytest

from volproc.errors import VolumeError
from volproc.grid.scale import parse_voxel_nm
from volproc.volume.kinds import foreground, foreground_level
from volproc.volume.metadata import new_volume


def volume(dtype, kind="image"):
    voxel_nm = parse_voxel_nm((1, 1, 1))
    return new_volume("v.zarr", shape=(1, 1, 1), voxel_nm=voxel_nm, dtype=dtype, kind=kind)


@pytest.mark.parametrize(
    ("dtype", "kind", "threshold", "level"),
    [
        ("uint8", "image", 0.5, 128),
        ("uint8", "image", 0.0, 1),
        ("uint8", "image", 1.0, 255),
        ("uint8", "labels", 0.5, 1),
        ("uint16", "image", 0.5, 1),
        ("bool", "image", 0.9, 1),
        ("float32", "image", 0.25, 0.25),
    ],
)
def test_levels(dtype, kind, threshold, level):
    assert foreground_level(volume(dtype, kind), threshold=threshold) == level


def test_background_is_never_foreground():
    values = np.array([0, 1, 255], dtype=np.uint8)
    level = foreground_level(volume("uint8"), threshold=0)
    assert foreground(values, level=level, what="v").tolist() == [False, True, True]


def test_refusals():
    with pytest.raises(VolumeError, match="complex64"):
        foreground_level(volume("complex64"), threshold=0.5)
    with pytest.raises(VolumeError, match=r"v\.zarr has voxels that are not a number"):
        foreground(np.array([np.nan]), level=0.5, what="v.zarr")

import numpy as np
import pytest

from volproc.grid.scale import parse_voxel_nm
from volproc.stages.objects.statistics import block_statistics, no_statistics, with_values
from volproc.stages.objects.table import columns_of, csv_parts, describe


def test_describe_gives_voxels_and_nm():
    labels = np.zeros((4, 6, 8), dtype=np.uint32)
    labels[1:3, 2:4, 3:6] = 1
    labels[0, 5, 7] = 2
    objects = block_statistics(labels, 2, origin=(0, 0, 0), shape=labels.shape)
    columns = describe(
        np.array([1, 2]), objects, voxel_nm=parse_voxel_nm((50, 10, 20)), shape=labels.shape
    )
    first = {name: values[0] for name, values in columns.items()}
    assert first["voxels"] == 12
    assert first["volume_um3"] == pytest.approx(12 * 50 * 10 * 20 * 1e-9)
    assert [first[f"centroid_{a}"] for a in "zyx"] == [1.5, 2.5, 4.0]
    assert [first[f"centroid_{a}_nm"] for a in "zyx"] == [100, 30, 90]
    assert [first[f"start_{a}_nm"] for a in "zyx"] == [50, 20, 60]
    assert [first[f"stop_{a}_nm"] for a in "zyx"] == [150, 40, 120]
    assert columns["touches_border"].tolist() == [False, True]
    assert columns["id"].tolist() == [1, 2]


def test_no_objects():
    how = {"voxel_nm": parse_voxel_nm((1, 1, 1)), "shape": (1, 1, 1)}
    assert all(len(values) == 0 for values in columns_of([], **how).values())
    assert len(b"".join(csv_parts([], **how)).splitlines()) == 1


def test_values_of_the_input_are_as_they_were():
    labels = np.ones((1, 1, 1), dtype=np.uint32)
    objects = block_statistics(labels, 1, origin=(0, 0, 0), shape=labels.shape)
    huge = with_values(objects, np.array([2**64 - 1], dtype=np.uint64).view(np.int64))
    how = {"voxel_nm": parse_voxel_nm((1, 1, 1)), "shape": (1, 1, 1), "values": "uint64"}
    assert columns_of([(np.array([1]), huge)], **how)["value"].tolist() == [2**64 - 1]
    assert len(no_statistics()) == 0

import math

import numpy as np
import pytest

from volproc.stages.measure.tables.measured_table import properties_of, sphericity


def test_sphericity_of_a_ball_and_of_a_cube():
    volume = np.array([4 / 3 * math.pi, 1.0, 1.0])
    surface = np.array([4 * math.pi, 6.0, 0.0])
    found = sphericity(volume, surface)
    assert found[:2] == pytest.approx([1, (math.pi / 6) ** (1 / 3)])
    assert np.isnan(found[2])


def test_properties_leave_out_what_is_not_known():
    columns = {
        "id": np.array([3, 8]),
        "volume_um3": np.array([1.23456789, 2.0]),
        "surface_um2": np.array([np.nan, 4.0]),
        "voxels": np.array([1, 2]),
    }
    assert properties_of(columns) == [
        {"label-value": 3, "volume_um3": 1.23457},
        {"label-value": 8, "volume_um3": 2.0, "surface_um2": 4.0},
    ]

import math

import numpy as np
import pytest

from volproc.stages.measure.tables.measured_columns import sphericity


def test_sphericity_of_a_ball_and_of_a_cube():
    volume = np.array([4 / 3 * math.pi, 1.0, 1.0])
    surface = np.array([4 * math.pi, 6.0, 0.0])
    found = sphericity(volume, surface)
    assert found[:2] == pytest.approx([1, (math.pi / 6) ** (1 / 3)])
    assert np.isnan(found[2])

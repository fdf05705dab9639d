"""Masks whose outlines are known."""

import numpy as np


def disc(shape, centre, radius):
    """Voxels whose centres lie within `radius` voxels of `centre`."""
    y, x = np.indices(shape) + 0.5
    return np.hypot(y - centre[0], x - centre[1]) <= radius

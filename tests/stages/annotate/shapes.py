"""Lines that volunteers might draw, in voxels."""

import numpy as np

from volproc.drawing import Stroke


def circle(radius, y=100.0, x=100.0, *, part=1.0, start=0.0, count=400, closed=False):
    """A `part` of a circle from the angle `start` on."""
    angle = start + np.linspace(0, 2 * np.pi * part, count, endpoint=False)
    around = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return Stroke((np.array([y, x]) + radius * around).astype(np.float32), closed)

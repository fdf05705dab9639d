"""Where a picture of objects in space is seen from, and where in it places are."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, hypot, radians, sin
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Camera:
    """A look at the middle of a box of `extent_nm` (z, y, x), z upwards, without perspective.

    From `azimuth` degrees around z, and `elevation` above the plane of x and y.
    """

    extent_nm: tuple[float, float, float]
    azimuth: float
    elevation: float
    width: int

    @property
    def into(self) -> Floats:
        """The direction of the look, (z, y, x)."""
        a, e = radians(self.azimuth), radians(self.elevation)
        return np.array([-sin(e), cos(e) * cos(a), cos(e) * sin(a)], np.float32)

    @property
    def right(self) -> Floats:
        """What is to the right in the picture."""
        a = radians(self.azimuth)
        return np.array([0.0, -sin(a), cos(a)], np.float32)

    @property
    def down(self) -> Floats:
        """What is down in it."""
        a, e = radians(self.azimuth), radians(self.elevation)
        return np.array([-cos(e), -sin(e) * cos(a), -sin(e) * sin(a)], np.float32)

    @property
    def _reach_nm(self) -> tuple[float, float]:
        """What the box covers at most, from whatever azimuth: down and across."""
        z, y, x = self.extent_nm
        e = radians(self.elevation)
        return z * cos(e) + hypot(y, x) * sin(e), hypot(y, x)

    @property
    def pixel_nm(self) -> float:
        """Side of a pixel: the box fits from whatever azimuth."""
        return self._reach_nm[1] * 1.04 / self.width

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return max(1, round(self._reach_nm[0] * 1.04 / self.pixel_nm))

    def placed(self, places_nm: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Pixels down and across, and depth in nm, of places (n, 3) counted from the corner."""
        seen = places_nm - np.array(self.extent_nm) / 2
        down, across, depth = (seen @ axis for axis in (self.down, self.right, self.into))
        middle = np.array([self.height / 2, self.width / 2])
        pixels = np.stack([down, across], axis=1) / self.pixel_nm + middle
        return np.concatenate([pixels, depth[:, None]], axis=1)

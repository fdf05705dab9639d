"""The border of an image: where outlines leave it, and the path along it to where they return.

0 ─────── width          places on the border count clockwise from the corner, in nm:
│    image    │          0 at the upper left, then along the upper, right, lower and left side.
╰──── ... ────╯          A path runs outside, `margin_nm` beyond the border.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volproc.stages.annotate.geometry.polylines import Line


@dataclass(frozen=True)
class Frame:
    """An image of `extent` nm (y, x); what comes within `margin_nm` of its border leaves it."""

    extent: tuple[float, float]
    margin_nm: float

    def leaves(self, point: Line) -> bool:
        """Whether a line that ends at `point` goes on outside."""
        inner = np.minimum(point, np.subtract(self.extent, point))
        return bool(inner.min() <= self.margin_nm)

    def distance(self, start: Line, end: Line) -> float:
        """Length of the shorter path along the border between the places next to two points."""
        forth = (self._along(end)[0] - self._along(start)[0]) % self._around
        return float(min(forth, self._around - forth))

    def path(self, start: Line, end: Line) -> Line:
        """Points between two: none (a straight line), or around the image if both leave it.

        They lie outside by the margin: an object that the image's border cuts has no outline there.
        """
        if not (self.leaves(start) and self.leaves(end)):
            return np.zeros((0, 2))
        (a, first), (b, last) = self._along(start), self._along(end)
        corners = self._corners(a, b)
        return np.array([first, *corners, last])

    @property
    def _around(self) -> float:
        return 2 * (self.extent[0] + self.extent[1])

    def _along(self, point: Line) -> tuple[float, Line]:
        """The place on the border nearest to a point, and the point beyond it by the margin."""
        (height, width), out = self.extent, self.margin_nm
        y, x = (float(np.clip(p, 0, e)) for p, e in zip(point, self.extent, strict=True))
        side = int(np.argmin([point[0], width - point[1], height - point[0], point[1]]))
        at = (x, width + y, width + height + width - x, 2 * width + height + height - y)[side]
        beyond = ((-out, x), (y, width + out), (height + out, x), (y, -out))[side]
        return at, np.array(beyond)

    def _corners(self, start: float, end: float) -> list[Line]:
        """Corners, beyond the border, on the shorter path between two places on it."""
        (height, width), out = self.extent, self.margin_nm
        places = np.array([0, width, width + height, 2 * width + height])
        beyond = np.array([[0, 0], [0, width], [height, width], [height, 0]], dtype=float)
        beyond += out * np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
        forth = (end - start) % self._around
        backwards = forth > self._around / 2
        ahead = (start - places if backwards else places - start) % self._around
        span = self._around - forth if backwards else forth
        order = np.argsort(ahead)
        return [beyond[k] for k in order if ahead[k] < span]

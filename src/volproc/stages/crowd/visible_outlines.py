"""The outlines that a volunteer would see: one closed line per component of the object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import find_contours

from volproc.drawing import MIN_COMPONENT_UM2, bounding_box

Line = npt.NDArray[np.float64]
"""Shape (n, 2): y and x of the points of a line, in nm from the corner of the slice."""

SMOOTH_NM = 15.0
"""Labels are drawn voxel by voxel; their steps are no part of the outline."""
STEP_NM = 50.0
"""Between two points of a line. A browser reports a moving mouse every two to four pixels, and
Etch-a-Cell showed pixels of 20 nm."""
FRAME_VOXELS = 2.0
"""An outline this near to the image's edge runs along it, and is not drawn there."""


@dataclass(frozen=True)
class Outline:
    """A closed line, every `STEP_NM` a point; where it is `hidden` it is the image that ends."""

    points: Line
    hidden: npt.NDArray[np.bool_]

    @property
    def area_nm2(self) -> float:
        """The area that the line encloses."""
        y, x = self.points.T
        return float(abs(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1))) / 2)


def trace(mask: npt.NDArray[np.bool_], nm: tuple[float, float]) -> tuple[Outline, ...]:
    """The outlines of all components (8-connected) of a slice, the largest first.

    `nm` is the voxel size (y, x). Holes have no outline: the envelope is drawn from outside.
    """
    box = bounding_box(mask)
    if box is None:
        return ()
    components, _ = ndimage.label(mask[box.slices], np.ones((3, 3)))
    size = np.array(nm)
    found = []
    for number, place in enumerate(ndimage.find_objects(components), start=1):
        part = components[place] == number
        if part.sum() * size.prod() < MIN_COMPONENT_UM2 * 1e6:
            continue
        start = np.add(box.start, [side.start for side in place])
        voxels = _contour(part, nm) + start
        at_edge = (voxels < FRAME_VOXELS) | (voxels > np.array(mask.shape) - FRAME_VOXELS)
        found.append(_evenly(voxels * size, np.asarray(at_edge.any(axis=1))))
    return tuple(sorted(found, key=lambda outline: -outline.area_nm2))


def _contour(part: npt.NDArray[np.bool_], nm: tuple[float, float]) -> Line:
    """The longest closed line around `part`, from its corner, in voxels."""
    pad = 4
    sigma = [SMOOTH_NM / one for one in nm]
    grey = ndimage.gaussian_filter(np.pad(part, pad).astype(np.float32), sigma)
    lines = find_contours(grey, 0.5) or find_contours(np.pad(part, pad).astype(float), 0.5)
    longest: Line = max(lines, key=len)[:-1]
    return longest + 0.5 - pad  # from centres of voxels to their corners


def _evenly(line: Line, hidden: npt.NDArray[np.bool_]) -> Outline:
    """The closed line `line` with points at equal distances."""
    steps = np.linalg.norm(np.diff(line, axis=0, append=line[:1]), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    count = max(8, round(along[-1] / STEP_NM))
    at = np.linspace(0, along[-1], count, endpoint=False)
    closed = np.vstack([line, line[:1]])
    points = np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1)
    nearest = np.minimum(np.searchsorted(along, at, side="right") - 1, len(line) - 1)
    return Outline(points, hidden[nearest])

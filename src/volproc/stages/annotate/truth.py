"""Expert labels on the image's grid, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.drawing import SliceVotes
from volproc.errors import AnnotateError
from volproc.grid.box import Box
from volproc.volume.kinds import labelled, refuse_image, require_labels, require_values
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume

TOLERANCE = 0.01
"""By which share voxel sizes may differ."""


@dataclass(frozen=True)
class Truth:
    """A label volume, and which of its values are the object (all but 0 if none is named)."""

    volume: Volume
    labels: tuple[int, ...] = ()

    def on(self, votes: SliceVotes) -> npt.NDArray[np.bool_]:
        """Where the object is on a region's slice, as a mask (y, x)."""
        values = self.volume.read(box_of_slice(votes))[0]
        return labelled(values, self.labels, what=self.volume.info.url)


def box_of_slice(votes: SliceVotes) -> Box:
    """A region's slice in the volume."""
    (y, x), (rows, columns) = votes.origin_yx, votes.shape_yx
    return Box((votes.z, y, x), (votes.z + 1, y + rows, x + columns))


def truth_of(info: VolumeInfo, labels: tuple[int, ...], *, image: VolumeInfo) -> Truth:
    """The truth in `info`; VolumeError for what holds no labels, AnnotateError for another grid."""
    require_labels(info)
    refuse_image(info, labels)
    require_values(info, labels, option="[annotate] truth_labels")
    pairs = zip(info.voxel_nm, image.voxel_nm, strict=True)
    if info.shape != image.shape or any(abs(a - b) > TOLERANCE * b for a, b in pairs):
        raise AnnotateError(
            f"the truth {info.url} has {_grid(info)}, the image {_grid(image)}; scores slice by "
            "slice need a truth on the image's grid"
        )
    return Truth(Volume(info), labels)


def _grid(info: VolumeInfo) -> str:
    shape, nm = (" x ".join(f"{v:g}" for v in own) for own in (info.shape, info.voxel_nm))
    return f"{shape} voxels of {nm} nm"

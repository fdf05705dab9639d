"""Expert labels on the image's grid, slice by slice, as far as they cover it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from volproc.drawing import SliceVotes
from volproc.errors import AnnotateError
from volproc.grid.box import Box
from volproc.volume.kinds import labelled, refuse_image, require_labels, require_present
from volproc.volume.metadata import VolumeInfo
from volproc.volume.sampling import Sampling, overlap
from volproc.volume.store import Volume

TOLERANCE = 0.01
"""By which share voxel sizes may differ."""


@dataclass(frozen=True)
class GroundTruth:
    """A label volume, and which of its values are the object (all but 0 if none is named).

    It covers the voxels `where` of the image.
    """

    volume: Volume
    labels: tuple[int, ...]
    sampling: Sampling
    where: Box

    def part(self, votes: SliceVotes) -> Box:
        """The voxels of a region's slice that the ground truth covers; none where it does not."""
        return box_of_slice(votes).clip(self.where)

    def on(self, votes: SliceVotes) -> npt.NDArray[np.bool_]:
        """Where the object is on the part of a region's slice that it covers, as a mask (y, x)."""
        box = self.part(votes)
        values = self.sampling.sample(self.volume.read(self.sampling.source(box)), box)[0]
        return labelled(values, self.labels, what=self.volume.info.url)


def box_of_slice(votes: SliceVotes) -> Box:
    """A region's slice in the volume."""
    (y, x), (rows, columns) = votes.origin_yx, votes.shape_yx
    return Box((votes.z, y, x), (votes.z + 1, y + rows, x + columns))


def ground_truth_of(info: VolumeInfo, labels: tuple[int, ...], *, image: VolumeInfo) -> GroundTruth:
    """The ground truth in `info`, wherever it and the image are.

    VolumeError for what holds no labels or is elsewhere; AnnotateError for voxels of another size,
    and for another shape than that of a blank image, which has no place.
    """
    require_labels(info)
    refuse_image(info, labels)
    require_present(Volume(info), labels, option="[annotate] ground_truth_labels")
    pairs = zip(info.voxel_nm, image.voxel_nm, strict=True)
    blank = not image.url
    differs = any(abs(a - b) > TOLERANCE * b for a, b in pairs)
    if differs or (blank and info.shape != image.shape):
        raise AnnotateError(
            f"the ground truth {info.url} has {_grid(info)}, the image {_grid(image)}; scores "
            "slice by slice need it on the image's grid"
        )
    # one voxel size for both, or a rounded one adds up over thousands of voxels
    like = replace(info, levels=(replace(info.levels[0], voxel_nm=image.voxel_nm),))
    sampling, where = overlap(like, like if blank else image)
    return GroundTruth(Volume(info), labels, sampling, where)


def _grid(info: VolumeInfo) -> str:
    shape, nm = (" x ".join(f"{v:g}" for v in own) for own in (info.shape, info.voxel_nm))
    return f"{shape} voxels of {nm} nm"

"""Which blocks hold nothing to look at: clear resin and padding, told by a coarse look.

The rule: a block is left out if the grey values of all that the network would see of it, at 4
times the model's voxel size, span less than `limit`. Cells have membranes and organelles of
several times the noise that is left at that size; resin and padding have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from volproc.grid.box import Box, each
from volproc.grid.scale import VoxelNm
from volproc.model.normalise import constants_from
from volproc.volume.metadata import VolumeInfo
from volproc.volume.resample import Resampling, Voxels, read_resampled, resampling_to

COARSER = 4
"""How much coarser than the network's are the voxels by which a block is judged."""


@dataclass(frozen=True)
class Emptiness:
    """The rule with the numbers of one volume: `limit` is in its grey values."""

    way: Resampling
    limit: float
    flat: float | None = None
    """The grey value of a volume that is the same everywhere, of which all blocks are empty."""

    def holds(self, window: Box, image: Voxels) -> bool:
        """Whether `window` (voxels of the model, mirrored beyond the volume) holds nothing."""
        if self.flat is not None:
            return True
        values = read_resampled(image, self.way, coarse_window(window))
        return bool(values.max() - values.min() < self.limit)


def emptiness(
    image: VolumeInfo, voxel_nm: VoxelNm, sample: npt.NDArray[Any], *, deviations: float
) -> Emptiness | None:
    """The rule for a network of `voxel_nm`: `deviations` times the spread of the volume's `sample`.

    Saturated voxels and outliers do not count for the spread, as in `model/normalise.py`. None for
    0; of a volume that is flat all blocks are empty: networks answer anything to nothing.
    """
    known = constants_from(sample)
    if not (deviations or known.flat):
        return None
    flat = known.mean if known.flat else None
    return Emptiness(coarse_way(image, voxel_nm), deviations * known.std, flat)


def skipping(deviations: float) -> tuple[str, ...]:
    """What a plan says of blocks that may be left out; nothing for 0."""
    if not deviations:
        return ()
    return (
        f"blocks in which the image spans less than {deviations:g} standard deviations are skipped "
        "and counted: the work is at most what is shown",
    )


def coarse_window(window: Box) -> Box:
    """The voxels by which `window` is judged."""
    start = each(lambda a: a // COARSER, window.start)
    return Box(start, each(lambda b: -(-b // COARSER), window.stop))


def coarse_way(image: VolumeInfo, voxel_nm: VoxelNm) -> Resampling:
    """From the image to the voxels by which its blocks are judged."""
    return resampling_to(image, VoxelNm(each(lambda nm: COARSER * nm, voxel_nm)))

"""Which blocks are empty: clear resin and padding, recognised at a coarse level.

The rule: a block is skipped if the grey values of all that the network would see of it, at 4 times
the model's voxel size, span less than `limit`. The membranes and organelles of cells stand out
several times above the noise that is left at that size; resin and padding have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from volproc.grid.box import Box, each
from volproc.grid.scale import VoxelNm
from volproc.model.normalisation import constants_from
from volproc.volume.metadata import VolumeInfo
from volproc.volume.resampling import Resampling, Voxels, read_resampled, resampling_to

COARSER = 4
"""How much coarser than the network's are the voxels by which a block is judged."""


@dataclass(frozen=True)
class EmptyBlockRule:
    """The rule with the numbers of one volume: `limit` is in its grey values."""

    resampler: Resampling
    limit: float
    flat: float | None = None
    """The grey value of a volume that is the same everywhere, of which all blocks are empty."""

    def is_empty(self, window: Box, image: Voxels) -> bool:
        """Whether `window` (voxels of the model, mirrored beyond the volume) is empty."""
        if self.flat is not None:
            return True
        values = read_resampled(image, self.resampler, coarse_window(window))
        return bool(values.max() - values.min() < self.limit)


def empty_block_rule(
    image: VolumeInfo, voxel_nm: VoxelNm, sample: npt.NDArray[Any], *, deviations: float
) -> EmptyBlockRule | None:
    """The rule for a network of `voxel_nm`: `deviations` times the spread of the volume's `sample`.

    Saturated voxels and outliers do not count for the spread (`model/normalisation.py`). None for
    0 deviations. All blocks of a flat volume are empty: to nothing a network may predict anything.
    """
    known = constants_from(sample)
    if not (deviations or known.flat):
        return None
    flat = known.mean if known.flat else None
    return EmptyBlockRule(coarse_resampler(image, voxel_nm), deviations * known.std, flat)


def skip_notes(deviations: float) -> tuple[str, ...]:
    """What a plan says of blocks that may be skipped; nothing for 0."""
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


def coarse_resampler(image: VolumeInfo, voxel_nm: VoxelNm) -> Resampling:
    """From the image to the voxels by which its blocks are judged."""
    return resampling_to(image, VoxelNm(each(lambda nm: COARSER * nm, voxel_nm)))

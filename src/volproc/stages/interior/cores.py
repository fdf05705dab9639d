"""The regions that an envelope leaves once its gaps are closed: for the label stage to number.

Where the envelope has a hole, inside and outside are one region. So regions are cores only, the
places farther than half a gap from the envelope, which no hole of that width connects; later they
grow back. A closing of the envelope would not do: the ball that closes a thin sheet pokes through
the smallest hole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Block
from volproc.grid.scale import VoxelNm
from volproc.stages.interior.envelope_distance import Mask, near, with_slices_apart
from volproc.volume.kinds import foreground
from volproc.volume.store import Volume


@dataclass(frozen=True)
class Envelope:
    """The mask or probability that an interior is sought in, and from which value it counts."""

    volume: Volume
    level: float

    def mask(self, block: Block, values: npt.NDArray[Any]) -> Mask:
        """Where a block's `values` are envelope; VolumeError if some are not a number."""
        what = f"{self.volume.info.url}, voxels {block.read},"
        return foreground(values, level=self.level, what=what)


def cores(envelope: Mask, *, gap_nm: float, voxel_nm: VoxelNm) -> Mask:
    """Voxels farther than half of `gap_nm` from the envelope; needs a halo of so much."""
    return ~near(envelope, voxel_nm=voxel_nm, reach_nm=gap_nm / 2)


def by_slice(regions: Mask, *, axis: int, first: int) -> npt.NDArray[np.uint8]:
    """The regions as 1 or 2, other ones in each slice than in the next, from slice `first` on.

    Where only equal values connect, a region then ends with its slice.
    """
    slices = (first + np.arange(regions.shape[axis])) % 2 + 1
    shape = [-1 if at == axis else 1 for at in range(3)]
    values: npt.NDArray[np.uint8] = regions * slices.astype(np.uint8).reshape(shape)
    return values


@dataclass(frozen=True)
class FindRegions:
    """Task: the cores of one block; with an `axis`, of every slice across it."""

    envelope: Envelope
    gap_nm: float
    axis: int | None
    output: Volume

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The block of the envelope, with its halo."""
        return self.envelope.volume.read(block.read)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], int]:
        """1 (or 2, see `by_slice`) in a region, 0 at the envelope; the highest value if no voxel
        is envelope."""
        mask = self.envelope.mask(block, loaded)
        voxel_nm = with_slices_apart(self.output.info.voxel_nm, self.axis)
        found = cores(mask, gap_nm=self.gap_nm, voxel_nm=voxel_nm)
        inside = found[block.core.within(block.read.start).slices]
        highest = -1 if mask.any() else int(loaded.max(initial=0))
        if self.axis is None:
            return inside.astype(np.uint8), highest
        return by_slice(inside, axis=self.axis, first=block.core.start[self.axis]), highest

    def store(self, block: Block, result: tuple[npt.NDArray[np.uint8], int]) -> dict[str, int]:
        """Write the block."""
        self.output.write(block.core, result[0])
        return {"highest": result[1]}

"""Tasks of `interior`: cores between the envelope, voxels inside of it, and the envelope itself.

Where the envelope has a hole, inside and outside are one region. So regions are numbered as cores
only, the places farther than half a gap from the envelope, which no hole of that width connects;
later they grow back. Closing the envelope instead would not do: the ball that closes a thin sheet
pokes through the smallest hole.

    envelope   ####   ######       the hole is narrower than gap_nm
    cores      ooo     ooooo       so nothing leads from the one core to the other
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Block
from volproc.grid.scale import VoxelNm
from volproc.stages.array_namespace import Device, run_on
from volproc.stages.interior.envelope_distance import (
    Mask,
    near,
    with_envelope,
    with_slices_apart,
)
from volproc.stages.interior.geodesic_growth import INSIDE, WALL, States, grown
from volproc.stages.interior.leak_test import Verdict
from volproc.volume.kinds import foreground
from volproc.volume.store import Volume


@dataclass(frozen=True)
class Envelope:
    """A mask or probability of envelopes, and the value from which a voxel is one."""

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

    Where only equal values connect, a region then ends with its slice: 1 1 1 / 2 2 2 / 1 1 1.
    """
    slices = (first + np.arange(regions.shape[axis])) % 2 + 1
    shape = [-1 if at == axis else 1 for at in range(3)]
    values: npt.NDArray[np.uint8] = regions * slices.astype(np.uint8).reshape(shape)
    return values


@dataclass(frozen=True)
class FindCores:
    """Task: the cores of one block; with an `axis`, of every slice across it."""

    working_bytes: ClassVar = 10
    """Per voxel read: distances in float32, masks before and after, planes they come from."""

    envelope: Envelope
    gap_nm: float
    axis: int | None
    output: Volume
    device: Device

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The block of the envelope, with its halo."""
        return self.envelope.volume.read(block.read)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], int]:
        """1 (or 2, see `by_slice`) in a region, 0 at the envelope; the highest value if no voxel
        is envelope."""
        mask = self.envelope.mask(block, loaded)
        voxel_nm = with_slices_apart(self.output.info.voxel_nm, self.axis)
        found = run_on(self.device, cores, mask, gap_nm=self.gap_nm, voxel_nm=voxel_nm)
        inside = found[block.core.within(block.read.start).slices]
        highest = -1 if mask.any() else int(loaded.max(initial=0))
        if self.axis is None:
            return inside.astype(np.uint8), highest
        return by_slice(inside, axis=self.axis, first=block.core.start[self.axis]), highest

    def store(self, block: Block, result: tuple[npt.NDArray[np.uint8], int]) -> dict[str, int]:
        """Write the block."""
        self.output.write(block.core, result[0])
        return {"highest": result[1]}


def filled(
    envelope: Mask, cores: States, *, voxel_nm: VoxelNm, reach_nm: float, device: Device
) -> Mask:
    """Voxels inside, from what is known of the cores: INSIDE, OUTSIDE, or FREE between them."""
    states = np.where(envelope, np.uint8(WALL), cores)
    found = run_on(device, grown, states, voxel_nm=voxel_nm, reach_nm=reach_nm)
    inside: Mask = found == INSIDE
    return inside


@dataclass(frozen=True)
class FillInside:
    """Task: 1 inside of the envelope, 0 elsewhere, for one block.

    Inside is what `votes` of the `axes` say, each having filled slices across it, or for None the
    volume as a whole.
    """

    envelope: Envelope
    axes: tuple[int | None, ...]
    regions: tuple[Volume, ...]
    verdicts: tuple[Verdict, ...]
    votes: int
    reach_nm: float
    output: Volume
    device: Device

    @property
    def working_bytes(self) -> int:
        """Per voxel read: states, lengths of paths, places that are left; regions and verdicts."""
        return 20 + 5 * len(self.regions)

    def load(self, block: Block) -> tuple[npt.NDArray[Any], list[States]]:
        """The envelope, and what is known of the cores across each axis, with a halo."""
        values = self.envelope.volume.read(block.read)
        pairs = zip(self.regions, self.verdicts, strict=True)
        return values, [verdict.of(volume.read(block.read)) for volume, verdict in pairs]

    def compute(
        self, block: Block, loaded: tuple[npt.NDArray[Any], list[States]]
    ) -> npt.NDArray[np.uint8]:
        """Cores grown to the envelope and to each other, and the vote."""
        values, known = loaded
        envelope = self.envelope.mask(block, values)
        core = block.core.within(block.read.start).slices
        count = np.zeros(block.core.shape, dtype=np.uint8)
        for axis, cores in zip(self.axes, known, strict=True):
            voxel_nm = with_slices_apart(self.output.info.voxel_nm, axis)
            inside = filled(
                envelope, cores, voxel_nm=voxel_nm, reach_nm=self.reach_nm, device=self.device
            )
            count += inside[core]
        return (count >= self.votes).astype(np.uint8)

    def store(self, block: Block, result: npt.NDArray[np.uint8]) -> None:
        """Write the block."""
        self.output.write(block.core, result)


@dataclass(frozen=True)
class AddEnvelope:
    """Task: the interiors of one block, each with its envelope."""

    working_bytes: ClassVar = 30
    """Per voxel read: ids before and after, distances, masks, places of the envelope."""

    envelope: Envelope
    interiors: Volume
    reach_nm: float
    output: Volume
    device: Device

    def load(self, block: Block) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
        """Interiors and envelope with a halo; None where there is no interior."""
        interiors = self.interiors.read(block.read)
        return (interiors, self.envelope.volume.read(block.read)) if interiors.any() else None

    def compute(
        self, block: Block, loaded: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None
    ) -> npt.NDArray[Any] | None:
        """Ids of the nuclei."""
        if loaded is None:
            return None
        interiors, values = loaded
        envelope = self.envelope.mask(block, values)
        voxel_nm = self.output.info.voxel_nm
        found = run_on(
            self.device,
            with_envelope,
            interiors,
            envelope,
            voxel_nm=voxel_nm,
            reach_nm=self.reach_nm,
        )
        return found[block.core.within(block.read.start).slices]

    def store(self, block: Block, result: npt.NDArray[Any] | None) -> None:
        """Write the block, also one without nuclei: a chunk that is absent is an error."""
        self.output.write(block.core, 0 if result is None else result)

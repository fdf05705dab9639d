"""Voxels inside of the envelope; and the envelope, which goes to the nearest interior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Block
from volproc.grid.scale import VoxelNm
from volproc.stages.interior.cores import Envelope
from volproc.stages.interior.envelope_distance import Mask, with_slices_apart
from volproc.stages.interior.geodesic_growth import INSIDE, WALL, States, grown
from volproc.stages.interior.leak_test import Verdict
from volproc.stages.interior.nearest_interior import with_envelope
from volproc.volume.store import Volume


def filled(envelope: Mask, cores: States, *, voxel_nm: VoxelNm, reach_nm: float) -> Mask:
    """Voxels inside, from what is known of the cores: INSIDE, OUTSIDE, or FREE between them."""
    states = np.where(envelope, np.uint8(WALL), cores)
    inside: Mask = grown(states, voxel_nm=voxel_nm, reach_nm=reach_nm) == INSIDE
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
            inside = filled(envelope, cores, voxel_nm=voxel_nm, reach_nm=self.reach_nm)
            count += inside[core]
        return (count >= self.votes).astype(np.uint8)

    def store(self, block: Block, result: npt.NDArray[np.uint8]) -> None:
        """Write the block."""
        self.output.write(block.core, result)


@dataclass(frozen=True)
class AddEnvelope:
    """Task: the interiors of one block, each with its envelope."""

    envelope: Envelope
    interiors: Volume
    reach_nm: float
    output: Volume

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
        found = with_envelope(interiors, envelope, voxel_nm=voxel_nm, reach_nm=self.reach_nm)
        return found[block.core.within(block.read.start).slices]

    def store(self, block: Block, result: npt.NDArray[Any] | None) -> None:
        """Write the block, without nuclei too: what a volume lacks is lost."""
        self.output.write(block.core, 0 if result is None else result)

"""Labels on another grid, such as the image's own: every voxel takes the label at its centre."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy.typing as npt

from volproc.engine.protocol import Step
from volproc.grid.blocks import Block, Tiling
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.sampling import Sampling, sampling_to
from volproc.volume.store import Volume


def native_step(labels: VolumeInfo, native: VolumeInfo, *, digest: str) -> Step:
    """Write `labels` into `native`; VolumeError if the two do not cover the same space."""
    sampling = sampling_to(labels, native)
    blocks = Tiling(shape=native.shape, core=native.write_unit)
    per_voxel = itemsize(native.dtype)
    source = sampling.source(blocks[0].core).grow((1, 1, 1)).size
    return Step(
        name="native labels",
        task=WriteNative(Volume(labels), Volume(native), sampling),
        blocks=blocks,
        digest=digest,
        # source, the result while it grows along two axes, 3 times the shard while it is encoded
        peak_bytes=(source + 4 * blocks[0].core.size) * per_voxel,
        bytes_read=prod(labels.shape) * per_voxel,
        bytes_written=prod(native.shape) * per_voxel,
    )


@dataclass(frozen=True)
class WriteNative:
    """Task: one block of the labels on the other grid."""

    labels: Volume
    native: Volume
    sampling: Sampling

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The labels under the block."""
        return self.labels.read(self.sampling.source(block.core))

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The label at each voxel's centre."""
        return self.sampling.sample(loaded, block.core)

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Write the block."""
        self.native.write(block.core, result)

"""A result on another grid, such as the image's own, block by block.

Labels take the value at each voxel's centre, probabilities are interpolated: that is the `Way`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy.typing as npt

from volproc.engine.protocol import Step
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel


class Way(Protocol):
    """How voxels of one grid are had from another; the same for every block."""

    def source(self, box: Box) -> Box:
        """Voxels of the volume that `box` of the new grid needs."""

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
        """Voxels of `box`, from the `values` of `source(box)`."""


def native_step(
    volume: VolumeInfo, native: VolumeInfo, way: Way, *, name: str, digest: str, working: int = 0
) -> Step:
    """Write `volume` into `native`; `working` is what `way` needs besides, in bytes a voxel."""
    blocks = Tiling(shape=native.shape, core=native.write_unit)
    there, here = (itemsize(info.dtype) * max(1, len(info.channels)) for info in (volume, native))
    source, core = way.source(blocks[0].core).grow((1, 1, 1)).size, blocks[0].core.size
    return Step(
        name=name,
        task=WriteNative(Volume(volume), Volume(native), way),
        blocks=blocks,
        digest=digest,
        writes=(WrittenLevel(native),),
        # source, the result while it grows along two axes, 3 times the shard while it is encoded
        peak_bytes=source * there + core * (4 * here + working),
        bytes_read=prod(volume.shape) * there,
        bytes_written=prod(native.shape) * here,
    )


@dataclass(frozen=True)
class WriteNative:
    """Task: one block of the volume on the other grid."""

    volume: Volume
    native: Volume
    way: Way

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The voxels under the block."""
        return self.volume.read(self.way.source(block.core))

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The block's voxels on the other grid."""
        return self.way.sample(loaded, block.core)

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Write the block."""
        self.native.write(block.core, result)

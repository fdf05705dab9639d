"""A result on another grid, such as the image's own, block by block.

Labels take the value at each voxel's centre, probabilities are interpolated: that is the
`GridTransform`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, Protocol

import numpy.typing as npt

from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Chain, Runner
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box
from volproc.stages.output import pyramid_steps, writing
from volproc.volume.file_io import sibling
from volproc.volume.metadata import VolumeInfo, itemsize, volume_like
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel


class GridTransform(Protocol):
    """How voxels of one grid follow from another; the same for every block."""

    def source(self, box: Box) -> Box:
        """Voxels of the volume that `box` of the new grid needs."""

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
        """Voxels of `box`, from the `values` of `source(box)`."""


@dataclass(frozen=True)
class NativePlan:
    """A volume of a stage, and the `output` on another grid that is made from it."""

    stage: str
    source: VolumeInfo
    output: VolumeInfo
    transform: GridTransform
    digest: str
    working: int = 0
    """Bytes per voxel that the transform needs besides."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with their cost."""
        name = f"native {'labels' if self.output.kind == 'labels' else 'prediction'}"
        blocks = Tiling(shape=self.output.shape, core=self.output.write_unit)
        there, here = (
            itemsize(info.dtype) * max(1, len(info.channels)) for info in (self.source, self.output)
        )
        core = blocks[0].core
        source = self.transform.source(core).grow((1, 1, 1)).size
        step = Step(
            name=name,
            task=WriteOnGrid(Volume(self.source), Volume(self.output), self.transform),
            blocks=blocks,
            digest=self.digest,
            writes=(WrittenLevel(self.output),),
            # source, the result while it grows along two axes, 3 times the shard while encoded
            peak_bytes=source * there + core.size * (4 * here + self.working),
            bytes_read=prod(self.source.shape) * there,
            bytes_written=prod(self.output.shape) * here,
        )
        return (step, *pyramid_steps(self.output, digest=self.digest, name=name))


def native_volume(source: VolumeInfo, image: VolumeInfo, recipe: Recipe) -> VolumeInfo:
    """OUT-native.zarr next to `source`, on the grid of `image`, to be written."""
    url = sibling(source.url, "-native.zarr")
    how = {"dtype": source.dtype, "kind": source.kind, "window": source.window}
    return volume_like(image, url, channels=source.channels, **how).with_provenance(
        recipe=recipe.record()
    )


def run_native(plan: NativePlan, runner: Runner) -> Volume:
    """The finished volume on the other grid."""
    made: Volume
    (made,) = runner.run_together(writing_native(plan, runner))
    return made


def writing_native(plan: NativePlan, runner: Runner) -> Chain[Volume]:
    """The same as a chain of steps, which may share the workers with others."""

    def steps(output: VolumeInfo) -> tuple[Step, ...]:
        return replace(plan, output=output).steps

    return writing(runner, plan.output, steps, step=plan.stage, digest=plan.digest)


@dataclass(frozen=True)
class WriteOnGrid:
    """Task: one block of the volume on the other grid."""

    volume: Volume
    output: Volume
    transform: GridTransform

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The voxels that the block needs."""
        return self.volume.read(self.transform.source(block.core))

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The block's voxels on the other grid."""
        return self.transform.sample(loaded, block.core)

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Write the block."""
        self.output.write(block.core, result)

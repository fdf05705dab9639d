"""The tasks of an ingest: slices measured, grey values sampled, voxels copied to shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.engine.protocol import Task
from volproc.errors import IngestError
from volproc.grid.blocks import Block, Tiling
from volproc.stages.ingest.grey.grey_range import GreyRange, quantiles
from volproc.stages.ingest.grey.slice_matching import SliceTable, matched, moments
from volproc.stages.ingest.voxel_source import Source
from volproc.volume.pyramid import coarsen, coarsened_box, step_between
from volproc.volume.store import Volume


@dataclass(frozen=True)
class MeasureSlices(Task):
    """Mean and spread of each slice of a block."""

    source: Source

    def load(self, block: Block) -> list[tuple[float, float]]:
        """Read one plane at a time."""
        return [moments(self.source.read(plane)[0]) for plane in block.core.slabs(1)]


@dataclass(frozen=True)
class SampleGreys(Task):
    """How the grey values of one plane are distributed: its quantiles, none for a blank plane."""

    source: Source

    def load(self, block: Block) -> list[float]:
        """Read the plane."""
        return quantiles(self.source.read(block.core))


@dataclass(frozen=True)
class CopyBlock(Task):
    """Files to shards of the two finest levels.

    Each slice is scaled by its row of `table` if there is one; then grey values are mapped to
    uint8 if there is a range. Level 1 is made here because its voxels are in memory: reading them
    back for it took a third of an ingest's time.
    """

    source: Source
    output: Volume
    table: SliceTable = ()
    greys: GreyRange | None = None

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The files' voxels under the block."""
        values = self.source.read(block.core)
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise IngestError(
                f"the source has voxels that are not a number (NaN) in {block.core}; "
                "give them a value with --nan, or [ingest] nan, such as 0 for background"
            )
        return values

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The voxels as they will be stored."""
        values = loaded
        if self.table:
            values = matched(values, self.table[block.core.start[0] : block.core.stop[0]])
        if self.greys is not None:
            values = self.greys.apply(values)
        return values.astype(self.output.info.dtype, copy=False)

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Write shard by shard: while one is encoded it is in memory three times."""
        info = self.output.info
        for shard in Tiling(shape=info.shape, core=info.write_unit).over(block.core):
            values = result[shard.core.within(block.core.start).slices]
            self.output.write(shard.core, values)
            if len(info.levels) > 1:
                finest, next_one = info.levels[:2]
                step = step_between(finest, next_one)
                coarse = coarsened_box(shard.core, step)
                self.output.write(coarse, coarsen(values, step, kind=info.kind), level=1)

"""Plan and run of `ingest`: files in, an OME-Zarr image with its pyramid out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.config import IngestOptions
from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import IngestError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.ingest.reader import open_source
from volproc.stages.ingest.slices import SliceTable, matched, matching, moments
from volproc.stages.ingest.source import Source
from volproc.stages.output import begin_volume, finish_volume, pyramid_steps
from volproc.volume.metadata import Kind, VolumeInfo, itemsize, new_volume
from volproc.volume.store import Volume

SLAB_BYTES = 256 * 2**20
"""A block takes whole planes, or as many rows of shards as stay below this."""

DTYPES = ("uint8", "uint16", "int16", "uint32", "float32")


@dataclass(frozen=True)
class IngestPlan:
    """Everything decided about an ingest from the files' headers."""

    source: Source
    output: VolumeInfo
    options: IngestOptions
    digest: str

    @property
    def blocks(self) -> Tiling:
        """Whole rows of shards, as many as fit a slab: a plane is decoded as seldom as possible."""
        depth, height, _ = self.output.write_unit
        _, rows, columns = self.output.shape
        one_row = depth * height * columns * itemsize(self.output.dtype)
        many = max(1, min(-(-rows // height), SLAB_BYTES // one_row))
        return Tiling(shape=self.output.shape, core=(depth, many * height, columns))

    @property
    def pyramid(self) -> tuple[Step, ...]:
        """The coarser levels."""
        return pyramid_steps(self.output, digest=self.digest, name="image")

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        first = (self.measure_step,) if self.options.match_slices else ()
        return (*first, self.copy_step(()), *self.pyramid)

    @property
    def measure_step(self) -> Step:
        """The step that finds every slice's mean and spread."""
        _, rows, columns = self.output.shape
        blocks = Tiling(shape=self.output.shape, core=(16, rows, columns))
        nbytes = prod(self.output.shape) * itemsize(self.output.dtype)
        peak = prod(blocks[0].core.shape) * (itemsize(self.output.dtype) + 1) + 16 * rows * columns
        task = MeasureSlices(self.source)
        return Step("measure slices", task, blocks, self.digest, peak, bytes_read=nbytes)

    def copy_step(self, table: SliceTable) -> Step:
        """The step that writes the finest level; slices are scaled by `table` if there is one."""
        nbytes = prod(self.output.shape) * itemsize(self.output.dtype)
        block = prod(self.blocks[0].core.shape) * itemsize(self.output.dtype)
        return Step(
            name="ingest",
            task=CopyBlock(self.source, Volume(self.output), table),
            blocks=self.blocks,
            digest=self.digest,
            peak_bytes=5 * block,  # planes, their copy, the scaled copy, and shards being encoded
            bytes_read=nbytes,
            bytes_written=nbytes,
        )


def plan_ingest(path: Path, url: str, options: IngestOptions) -> IngestPlan:
    """Decide shards and blocks for the files at `path`. Reads headers only."""
    source = open_source(path, missing=options.missing)
    if source.dtype not in DTYPES:
        raise IngestError(
            f"{path} holds {source.dtype} voxels; expected one of {', '.join(DTYPES)}"
        )
    if options.voxel_nm is None and source.voxel_nm is None:
        raise IngestError(
            f"{path} states no voxel size; give it with --voxel-nm Z Y X, or [ingest] voxel_nm"
        )
    voxel_nm = parse_voxel_nm(options.voxel_nm or source.voxel_nm or ())
    if options.labels and (options.match_slices or source.dtype == "float32"):
        raise IngestError(
            f"{path}: labels are whole numbers that must not change; drop match_slices"
        )
    kind: Kind = "labels" if options.labels else "image"
    output = new_volume(url, shape=source.shape, voxel_nm=voxel_nm, dtype=source.dtype, kind=kind)
    name = digest("ingest", source.identity, source.shape, source.dtype, options, voxel_nm)
    return IngestPlan(source, output, options, name)


def run_ingest(plan: IngestPlan, runner: Runner) -> Volume:
    """The finished image."""
    table: SliceTable = ()
    if plan.options.match_slices:
        found = [pair for record in runner.run(plan.measure_step) for pair in record]
        table = matching([(mean, spread) for mean, spread in found])
    info = plan.output.stamped(slice_scale_offset=table) if table else plan.output
    steps = (plan.copy_step(table), *plan.pyramid)
    volume = begin_volume(runner, info, step="ingest", digest=plan.digest, steps=steps)
    plan = replace(plan, output=volume.info)
    runner.run(plan.copy_step(table))
    return finish_volume(runner, volume, plan.pyramid)


@dataclass(frozen=True)
class MeasureSlices:
    """Task: mean and spread of some slices."""

    source: Source

    def load(self, block: Block) -> npt.NDArray[Any]:
        """Whole planes."""
        return self.source.read(block.core)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> list[tuple[float, float]]:
        """Mean and spread of each."""
        return [moments(plane) for plane in loaded]

    def store(self, block: Block, result: list[tuple[float, float]]) -> list[tuple[float, float]]:
        """Nothing but the record."""
        return result


@dataclass(frozen=True)
class CopyBlock:
    """Task: files to shards."""

    source: Source
    output: Volume
    table: SliceTable

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The files' voxels under the block."""
        values = self.source.read(block.core)
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise IngestError(f"the source holds NaN voxels in {block.core}; replace them first")
        return values

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """As they are, or each slice brought to the volume's mean and spread."""
        if not self.table:
            return loaded
        return matched(loaded, self.table[block.core.start[0] : block.core.stop[0]])

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Write the shards."""
        self.output.write(block.core, result)

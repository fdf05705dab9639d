"""Everything that `measure` decides before a voxel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Shape
from volproc.stages.claims import Claim
from volproc.stages.edits.edit import Edit
from volproc.stages.edits.history import History, Stale, stale_blocks
from volproc.stages.measure.mesh.surface_extraction import (
    ExtractSurfaces,
    smoothing_nm,
    surface_step,
)
from volproc.stages.measure.mesh.surface_files import SurfaceFiles
from volproc.stages.measure.options import MeasureOptions
from volproc.stages.measure.tables.voxel_sums import SumObjects, count_step
from volproc.stages.objects.sampled_volume import SampledVolume
from volproc.volume.metadata import Level, VolumeInfo, shard_shape
from volproc.volume.store import Volume

ALGORITHM = 3
"""Raised by hand when the same volumes and options would give other numbers or surfaces."""
BLOCK_BYTES_PER_VOXEL = 8
"""Of shard_shape: blocks of 8 million voxels."""


@dataclass(frozen=True)
class MeasurePlan:
    """A measurement: its inputs, its options, and the steps that follow from them."""

    labels: VolumeInfo
    image: SampledVolume | None
    votes: SampledVolume | None
    folder: str
    options: MeasureOptions
    level: int
    """Of the labels, that surfaces are made of."""
    recipe: Recipe
    history: History | None = None
    """Of edited labels: the edits that they have."""
    doubtful: tuple[Edit, ...] = ()
    """Edits whose blocks are measured again."""

    @property
    def digest(self) -> str:
        """Names what is counted: not surfaces, which options about meshes change.

        Of edited labels it is that of the labels without edits: what was measured of these counts,
        but for blocks that an edit changed.
        """
        threshold, inputs = self.options.threshold, dict(self.recipe.inputs)
        if self.history:
            inputs["labels"] = self.history.base
        cut = _core(self.labels.levels[0]), _core(self.surface_level)
        return digest("measure", ALGORITHM, inputs, threshold, cut)

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        values = (one.volume.info.url for one in (self.image, self.votes) if one)
        return Claim(self.recipe, (self.labels.url, *values), folders=(self.folder,))

    @property
    def table(self) -> str:
        """Where the table of objects is written (CSV)."""
        return f"{self.folder}/objects.csv"

    @property
    def parts(self) -> str:
        """Where blocks leave what they found."""
        return f"{self.folder}/parts"

    @property
    def note(self) -> str:
        """Where it is noted which edits the parts have."""
        return f"{self.parts}/edits.json"

    @property
    def files(self) -> SurfaceFiles:
        """Where blocks leave surfaces."""
        options = self.options
        how = (self.level, self._smooth_nm, options.closed, options.meshes != "none")
        return SurfaceFiles(self.parts, digest(self.digest, *how))

    @property
    def surface_level(self) -> Level:
        """The level of the labels that surfaces are made of."""
        return self.labels.levels[self.level]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps that are known before the objects are; then come the meshes, if any."""
        return (self.count_step, self.surface_step)

    @property
    def tiling(self) -> Tiling:
        """The blocks in which voxels are counted."""
        return Tiling(self.labels.shape, _core(self.labels.levels[0]))

    @property
    def count_step(self) -> Step:
        """Statistics, values and slice components of the objects of every block."""
        labels, threshold = Volume(self.labels), self.options.threshold
        task = SumObjects(labels, self.image, self.votes, threshold, self.parts, self.digest)
        step = count_step(task, tiling=self.tiling)
        return replace(step, writes=(self._stale(self.tiling, 0),))

    @property
    def surface_step(self) -> Step:
        """Surfaces of the objects of every block."""
        task = ExtractSurfaces(
            Volume(self.labels),
            self.level,
            self.files,
            self._smooth_nm,
            self.options.closed,
            keep=self.options.meshes != "none",
        )
        step = surface_step(task, core=_core(self.surface_level))
        return replace(step, writes=(self._stale(step.blocks, self.level),))

    def _stale(self, blocks: Sequence[Block], level: int) -> Stale:
        assert isinstance(blocks, Tiling)
        levels = self.labels.levels
        return stale_blocks(blocks, self.doubtful, levels[0], level=levels[level])

    @property
    def _smooth_nm(self) -> float:
        return smoothing_nm(self.surface_level, self.options.smooth_nm)


def _core(level: Level) -> Shape:
    """Whole chunks, up to 8 million voxels."""
    return shard_shape(level.shape, chunks=level.chunks, bytes_per_voxel=BLOCK_BYTES_PER_VOXEL)

"""What an annotate will do: its volumes, its steps, and what each of them depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step, Task
from volproc.engine.recipe import Recipe
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape
from volproc.stages.annotate.methods import METHODS
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.page.level_files import DrawLevels
from volproc.stages.annotate.quality.ground_truth import GroundTruth
from volproc.stages.annotate.quality.slice_quality import spread
from volproc.stages.annotate.quality.trials import TryMethods, TrySmallerCrowds
from volproc.stages.annotate.tasks import Annotate, Drawings, MeasureVolunteers, OutputVolumes
from volproc.stages.claims import Claim
from volproc.stages.output import pyramid_steps
from volproc.volume.file_io import sibling
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

MAX_SUBSAMPLED = 40
"""Slices on which smaller crowds are tried."""
NAMES = ("labels", "envelope", "agreement", "ignore")
SMALLER, TRIED, LEVELS = "try smaller crowds", "score and compare", "draw level sets"
"""Names of steps after the volumes are written."""


@dataclass(frozen=True)
class AnnotatePlan:
    """Everything decided about an annotate from the image's metadata and the options.

    `volumes` are labels, envelope, agreement and ignore, on the image's grid; without a url the
    image is blank. The votes depend on `reading`, the volumes on `digest`, trials on `trying`.
    """

    export: str
    image: VolumeInfo
    volumes: tuple[VolumeInfo, ...]
    options: AnnotateOptions
    reading: str
    recipe: Recipe
    trying: str
    truth: GroundTruth | None = None

    @property
    def digest(self) -> str:
        """Names everything that the volumes depend on."""
        return self.recipe.digest

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        files = (self.export, self.options.manifest, self.image.url, self.options.ground_truth)
        inputs = tuple(filter(None, files))
        return Claim(self.recipe, inputs, self.volumes, scratch=(self.folder,))

    @property
    def folder(self) -> str:
        """Where the votes are stored, sorted by slices."""
        return f"{self.volumes[0].url.rstrip('/')}.volproc/votes-{self.reading[:8]}"

    @property
    def block(self) -> Shape:
        """Voxels of a task: some slices of a part of the plane, whole shards of the output."""
        return self.volumes[0].write_unit

    @property
    def weighs(self) -> bool:
        """Whether volunteers are weighed by skills that are measured before: `cria` does so."""
        return self.options.skills and (self.options.method == "cria" or self.options.compare)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost if every slice was drawn on."""
        every = tuple(range(-(-self.image.shape[0] // self.options.block_slices)))
        measure = (self.measure_step(every),) if self.weighs else ()
        pyramids = (step for steps in self.pyramids for step in steps)
        drawn = range(self.image.shape[0])
        trials = self.trial_steps(every, {}, drawn)
        return (*measure, self.annotate_step(every, {}), *pyramids, *trials)

    def drawings(self, blocks: tuple[int, ...]) -> Drawings:
        """The votes of those blocks that have any, as tasks load them."""
        _, y, x = self.image.voxel_nm
        return Drawings(self.folder, blocks, self.options, (y, x))

    def measure_step(self, blocks: tuple[int, ...]) -> Step:
        """The step that measures volunteers; whole slices, where there are votes."""
        return self._step("measure volunteers", MeasureVolunteers(self.drawings(blocks)), blocks)

    def annotate_step(self, blocks: tuple[int, ...], known: dict[str, float]) -> Step:
        """The step that writes the volumes; `known` are the volunteers' skills."""
        made = OutputVolumes(*(Volume(info) for info in self.volumes))
        voxels = prod(self.image.shape)
        return Step(
            name="annotate",
            task=Annotate(self.drawings(blocks), made, known),
            blocks=Tiling(shape=self.image.shape, core=self.block),
            digest=self.digest,
            writes=tuple(WrittenLevel(info) for info in self.volumes),
            peak_bytes=8 * prod(self.block) + self._slice_bytes,
            bytes_written=len(NAMES) * voxels,
        )

    @property
    def pyramids(self) -> tuple[tuple[Step, ...], ...]:
        """The coarser levels of each volume."""
        named = zip(self.volumes, NAMES, strict=True)
        return tuple(
            pyramid_steps(v, digest=self.digest, name=f"annotated {name}") for v, name in named
        )

    def trial_steps(
        self, blocks: tuple[int, ...], known: dict[str, float], drawn: Sequence[int]
    ) -> tuple[Step, ...]:
        """What is tried once the volumes are written; `drawn` are the slices with drawings."""
        trials = [self._smaller_crowds(blocks, known, drawn)]
        if self.truth or self.options.compare:
            trials.append(self._methods(blocks, known))
        if self.options.levels:
            trials.append(self._levels(blocks))
        return tuple(trials)

    def _smaller_crowds(
        self, blocks: tuple[int, ...], known: dict[str, float], drawn: Sequence[int]
    ) -> Step:
        if self.truth:
            drawn = [z for z in drawn if self.truth.where.start[0] <= z < self.truth.where.stop[0]]
        boxes = [
            Box((z, 0, 0), (z + 1, *self.image.shape[1:])) for z in spread(drawn, MAX_SUBSAMPLED)
        ]
        task = TrySmallerCrowds(drawings=self.drawings(blocks), skills=known, truth=self.truth)
        slices = tuple(Block(index, box, box) for index, box in enumerate(boxes))
        return Step(SMALLER, task, slices, self.trying, peak_bytes=self._slice_bytes)

    def _methods(self, blocks: tuple[int, ...], known: dict[str, float]) -> Step:
        task = TryMethods(
            drawings=self.drawings(blocks),
            skills=known,
            truth=self.truth,
            labels=Volume(self.volumes[0]),
            methods=tuple(METHODS) if self.options.compare else (),
        )
        return self._step(TRIED, task, blocks, trying=str(self.options.compare), held=3)

    def _levels(self, blocks: tuple[int, ...]) -> Step:
        folder = sibling(self.volumes[0].url, "-levels")
        image = Volume(self.image) if self.image.url else None
        return self._step(LEVELS, DrawLevels(self.drawings(blocks), image, folder), blocks, held=1)

    def _step(
        self, name: str, task: Task, blocks: tuple[int, ...], *, trying: str = "", held: int = 0
    ) -> Step:
        """A step over whole slices where there are votes, with `held` bytes per voxel in memory."""
        (depth, rows, columns), size = self.image.shape, self.options.block_slices
        boxes = [Box((n * size, 0, 0), (min((n + 1) * size, depth), rows, columns)) for n in blocks]
        return Step(
            name,
            task,
            tuple(Block(index, box, box) for index, box in enumerate(boxes)),
            digest(self.trying, trying) if trying else self.digest,
            peak_bytes=self._slice_bytes + held * size * rows * columns,
        )

    @property
    def _slice_bytes(self) -> int:
        return 64 * prod(self.image.shape[1:])

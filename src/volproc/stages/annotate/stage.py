"""Plan and run of `annotate`: an export of drawings in, label volumes and a quality page out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod

import numpy as np

from volproc.config import AnnotateOptions
from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import AnnotateError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape
from volproc.stages.annotate import passes
from volproc.stages.annotate.consensus import METHODS
from volproc.stages.annotate.gather import Gathered, gather, read_gathered
from volproc.stages.annotate.manifest import read_manifest
from volproc.stages.annotate.outline import outline
from volproc.stages.annotate.page import quality_page
from volproc.stages.annotate.passes import (
    Annotate,
    Drawings,
    Made,
    MeasureVolunteers,
    roi_name,
)
from volproc.stages.annotate.quality import (
    DrawnSlice,
    Line,
    Quality,
    SliceQuality,
    Subsample,
    VolunteerSkill,
    best_and_worst,
    wanted,
    wanted_csv,
)
from volproc.stages.annotate.skill import skills
from volproc.stages.output import begin_volume, finish_volume, pyramid_steps
from volproc.volume.access import exists
from volproc.volume.files import beside, content_digest, read_file, write_file
from volproc.volume.metadata import VolumeInfo, Window, new_volume
from volproc.volume.store import Volume

ACROSS, PART = 2048, 128
"""Voxels a side of a task's block: no more than, and a multiple of."""
MOST_SUBSAMPLED = 40
"""Slices on which smaller crowds are tried."""
NAMES = ("labels", "envelope", "agreement", "ignore")


@dataclass(frozen=True)
class AnnotatePlan:
    """Everything decided about an annotate from the image's metadata and the options.

    `volumes` are labels, envelope, agreement and ignore, on the image's grid.
    """

    export: str
    image: VolumeInfo
    volumes: tuple[VolumeInfo, ...]
    options: AnnotateOptions
    digest: str

    @property
    def folder(self) -> str:
        """Where the votes are kept, sorted by slices."""
        return f"{self.volumes[0].url.rstrip('/')}.volproc/votes-{self.digest[:8]}"

    @property
    def block(self) -> Shape:
        """Voxels of a task: some slices of a part of the plane, whole shards of the output."""
        return self.volumes[0].write_unit

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost if every slice was drawn on."""
        every = tuple(range(-(-self.image.shape[0] // self.options.block_slices)))
        measure = (self.measure_step(every),) if self.weighs else ()
        pyramids = (step for steps in self.pyramids for step in steps)
        asked = self.subsample_step(every, {}, range(self.image.shape[0]))
        return (*measure, self.annotate_step(every, {}), *pyramids, asked)

    @property
    def weighs(self) -> bool:
        """Whether volunteers are weighed by skills that are measured before."""
        return self.options.method == "cria" and self.options.skills

    def drawings(self, blocks: tuple[int, ...]) -> Drawings:
        """The votes of those blocks that have any, as tasks load them."""
        _, y, x = self.image.voxel_nm
        return Drawings(self.folder, blocks, self.options, (y, x))

    def measure_step(self, blocks: tuple[int, ...]) -> Step:
        """The step that measures volunteers; whole slices, where there are votes."""
        slabs = _slabs(self.image.shape, self.options.block_slices, blocks)
        task = MeasureVolunteers(self.drawings(blocks))
        return Step("measure volunteers", task, slabs, self.digest, peak_bytes=self._slice_bytes)

    def annotate_step(self, blocks: tuple[int, ...], known: dict[str, float]) -> Step:
        """The step that writes the volumes; `known` are the volunteers' skills."""
        made = Made(*(Volume(info) for info in self.volumes))
        task = Annotate(self.drawings(blocks), made, known)
        block = prod(self.block)
        voxels = prod(self.image.shape)
        return Step(
            name="annotate",
            task=task,
            blocks=Tiling(shape=self.image.shape, core=self.block),
            digest=self.digest,
            peak_bytes=8 * block + self._slice_bytes,
            bytes_written=len(NAMES) * voxels,
        )

    def subsample_step(
        self, blocks: tuple[int, ...], known: dict[str, float], drawn: Sequence[int]
    ) -> Step:
        """The step that asks how many volunteers are enough, on some of the slices `drawn`."""
        some = drawn[:: -(-len(drawn) // MOST_SUBSAMPLED) or 1]
        boxes = [Box((z, 0, 0), (z + 1, *self.image.shape[1:])) for z in some]
        slices = tuple(Block(index, box, box) for index, box in enumerate(boxes))
        task = passes.Subsample(self.drawings(blocks), known)
        return Step("subsample", task, slices, self.digest, peak_bytes=self._slice_bytes)

    @property
    def pyramids(self) -> tuple[tuple[Step, ...], ...]:
        """The coarser levels of each volume."""
        named = zip(self.volumes, NAMES, strict=True)
        return tuple(
            pyramid_steps(v, digest=self.digest, name=f"annotated {name}") for v, name in named
        )

    @property
    def _slice_bytes(self) -> int:
        return 64 * prod(self.image.shape[1:])


@dataclass(frozen=True)
class AnnotateResult:
    """What was written."""

    volumes: tuple[Volume, ...]
    gathered: Gathered
    page: str
    rejected: str
    more_volunteers: str


def plan_annotate(
    export: str,
    image: VolumeInfo,
    out: str,
    options: AnnotateOptions,
    *,
    identity: str = "",
    content: str = "",
) -> AnnotatePlan:
    """Decide volumes and blocks for the drawings in `export` on the slices of `image`.

    `identity` is the image's; `content` names what an export will hold that is still to be drawn.
    AnnotateError if there is no such export.
    """
    if not content and not exists(export):
        raise AnnotateError(f"{export} does not exist; expected a classification export (CSV)")
    if options.method not in METHODS:
        raise AnnotateError(f"method {options.method!r} is not one of {', '.join(METHODS)}")
    _, rows, columns = image.shape
    shards = (options.block_slices, _side(rows), _side(columns))
    new = partial(new_volume, shape=image.shape, voxel_nm=image.voxel_nm, dtype="uint8")
    grey = Window(0, 255, 0, 255)
    volumes = (
        new(out, kind="labels", shards=shards),
        new(beside(out, "-envelope.zarr"), kind="labels", shards=shards),
        new(beside(out, "-agreement.zarr"), shards=shards, window=grey),
        new(beside(out, "-ignore.zarr"), kind="labels", shards=shards),
    )
    # what is in files counts, not where they lie
    lasting = options.model_dump(mode="json", exclude={"export", "manifest"})
    there = options.manifest and exists(options.manifest)
    manifest = content_digest(options.manifest) if there else ""
    drawn = content or content_digest(export)
    name = digest("annotate", drawn, identity, lasting, manifest)
    return AnnotatePlan(export, image, volumes, options, name)


def _side(voxels: int) -> int:
    """Of a shard, in whole chunks."""
    return min(-(-voxels // PART) * PART, ACROSS)


def run_annotate(plan: AnnotatePlan, runner: Runner) -> AnnotateResult:
    """The finished volumes, the quality page and the tables beside them."""
    gathered = _gathered(plan)
    errors: list[list[tuple[str, float]]] = []
    if plan.weighs:
        errors = [one for part in runner.run(plan.measure_step(gathered.blocks)) for one in part]
    known = skills(errors)
    volumes = [
        begin_volume(
            runner,
            info,
            step="annotate",
            digest=plan.digest,
            steps=(plan.annotate_step(gathered.blocks, known), *pyramid),
        )
        for info, pyramid in zip(plan.volumes, plan.pyramids, strict=True)
    ]
    plan = replace(plan, volumes=tuple(volume.info for volume in volumes))
    rows = [row for part in runner.run(plan.annotate_step(gathered.blocks, known)) for row in part]
    steps = zip(volumes, plan.pyramids, strict=True)
    finished = tuple(finish_volume(runner, volume, pyramid) for volume, pyramid in steps)
    slices = [SliceQuality(**row) for row in rows]
    drawn = sorted({one.z for one in slices if one.drawn})
    subsample = plan.subsample_step(gathered.blocks, known, drawn)
    curve = [row for part in runner.run(subsample) for row in part]
    voted = Counter(volunteer for one in errors for volunteer, _ in one)
    best, worst = best_and_worst(slices)
    quality = Quality(
        title=plan.volumes[0].url.rstrip("/").rpartition("/")[2],
        method=plan.options.method,
        summary=gathered.summary,
        slices=slices,
        subsamples=[Subsample(*row) for row in curve],
        skills=[VolunteerSkill(skill, voted[name]) for name, skill in sorted(known.items())],
        best=[_drawn(plan, gathered, known, one) for one in best],
        worst=[_drawn(plan, gathered, known, one) for one in worst],
        fewest_votes=plan.options.fewest_votes,
    )
    return _described(plan, finished, gathered, quality)


def _drawn(
    plan: AnnotatePlan, gathered: Gathered, known: dict[str, float], one: SliceQuality
) -> DrawnSlice:
    """A slice with what volunteers drew on it, and the outline that came of it."""
    drawings = plan.drawings(gathered.blocks)
    votes = next(v for v in drawings.slices(one.z, one.z + 1) if roi_name(v) == one.roi)
    (y, x), (rows, columns) = votes.origin_yx, votes.shape_yx
    box = Box((one.z, y, x), (one.z + 1, y + rows, x + columns)).clip(plan.image.box)
    return DrawnSlice(
        quality=one,
        image=Volume(plan.image).read(box)[0],
        lines=tuple(
            Line(stroke.points, known.get(vote.volunteer, 1.0))
            for vote in votes.votes
            for stroke in vote.strokes
        ),
        outline=tuple(
            line.astype(np.float32)
            for line in outline(drawings.agreement(votes, known), votes.shape_yx)
        ),
        nm=drawings.nm,
    )


def _gathered(plan: AnnotatePlan) -> Gathered:
    if exists(f"{plan.folder}/votes.json"):
        return read_gathered(plan.folder)
    manifest = read_manifest(plan.options.manifest) if plan.options.manifest else None
    return gather(
        plan.export,
        plan.folder,
        plan.options,
        volume=plan.image.box,
        voxel_nm=plan.image.voxel_nm,
        manifest=manifest,
        bezier_tools=plan.options.bezier_tools,
    )


def _slabs(shape: Shape, size: int, numbers: tuple[int, ...]) -> tuple[Block, ...]:
    boxes = [Box((n * size, 0, 0), (min((n + 1) * size, shape[0]), *shape[1:])) for n in numbers]
    return tuple(Block(index, box, box) for index, box in enumerate(boxes))


def _described(
    plan: AnnotatePlan, volumes: tuple[Volume, ...], gathered: Gathered, quality: Quality
) -> AnnotateResult:
    out = plan.volumes[0].url
    page, table = beside(out, "-quality.html"), beside(out, "-more-volunteers.csv")
    rejected = beside(out, "-rejected.csv")
    write_file(page, quality_page(quality).encode())
    write_file(table, wanted_csv(wanted(quality)).encode())
    write_file(rejected, read_file(f"{plan.folder}/rejected.csv"))
    return AnnotateResult(volumes, gathered, page, rejected, table)

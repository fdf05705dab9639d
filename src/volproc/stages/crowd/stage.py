"""Plan and run of `crowd`: a ground truth in, the drawings of simulated volunteers out.

Every task writes the rows of its slices to a file of its own; the run joins them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.drawing import Vote
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import ConfigError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box
from volproc.stages.claims import Claim, admit
from volproc.stages.crowd.export_rows import Export, Parts, header
from volproc.stages.crowd.options import CrowdOptions
from volproc.stages.crowd.simulated_votes import draw
from volproc.stages.crowd.visible_outlines import trace
from volproc.stages.crowd.volunteers import POOL, Volunteer, panel, volunteers
from volproc.stages.description import Request
from volproc.stages.provenance import read_provenance, write_provenance
from volproc.volume.access import relative_url
from volproc.volume.file_io import sibling
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import labelled, refuse_image, require_labels, require_present
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.sampling import stated_corner_nm
from volproc.volume.store import Volume

ALGORITHM = 2
"""Raised by hand when the same ground truth and options would give other rows."""
BLOCK_BYTES = 256 * 2**20
"""Of ground truth that a task reads: whole chunks along z where they fit, else fewer slices."""
COUNTED = ("classifications", "absent", "strokes")
ROW_BYTES = 60_000
"""A long row: three rounds of an outline of 60 um in the format of classifier 1."""
SLICE_BYTES_PER_VOXEL = 24
"""While one slice is traced: mask, components (int32), and a smoothed part with its copies."""


@dataclass(frozen=True)
class CrowdPlan:
    """Everything decided before a voxel is read."""

    task: DrawSlices
    url: str
    recipe: Recipe
    step: Step

    @property
    def digest(self) -> str:
        """Names everything that the drawings depend on."""
        return self.recipe.digest

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        truth, parts = self.task.truth.info.url, self.task.parts.folder
        return Claim(self.recipe, (truth,), folders=(self.url,), scratch=(parts,))

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        return (self.step,)


@dataclass(frozen=True)
class CrowdSummary:
    """What was written to `url`: classifications, how many of them are empty, strokes."""

    url: str
    classifications: int
    absent: int
    strokes: int


@dataclass(frozen=True)
class DrawSlices:
    """Task: what all volunteers draw on the slices of one block, as rows in a part file."""

    truth: Volume
    labels: tuple[int, ...]
    people: tuple[Volunteer, ...]
    export: Export
    parts: Parts

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The ground truth on the block's slices."""
        return self.truth.read(block.core)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> tuple[str, dict[str, int]]:
        """Rows, and counts of what is in them."""
        rows, counts = [], Counter[str]()
        for z, values in enumerate(loaded, start=block.core.start[0]):
            mask = labelled(values, self.labels, what=self.truth.info.url)
            votes = self._votes(z, mask)
            rows.append(self.export.rows(z, votes))
            counts["classifications"] += len(votes)
            counts["absent"] += sum(not vote.strokes for vote in votes)
            counts["strokes"] += sum(len(vote.strokes) for vote in votes)
        return "".join(rows), dict(counts)

    def store(self, block: Block, result: tuple[str, dict[str, int]]) -> dict[str, int]:
        """Write the rows; the counts."""
        rows, counts = result
        self.parts.save(block.index, rows)
        return counts

    def _votes(self, z: int, mask: npt.NDArray[np.bool_]) -> tuple[Vote, ...]:
        _, y, x = self.truth.info.voxel_nm
        outlines, (rows, columns) = trace(mask, (y, x)), mask.shape
        return tuple(
            draw(outlines, who, z=z, shape_yx=(rows, columns), nm=(y, x))
            for who in panel(self.people, z, count=self.export.volunteers)
        )


def plan_crowd(info: VolumeInfo, out: str, options: CrowdOptions) -> CrowdPlan:
    """Decide who draws on which slices of the ground truth `info`; rows go to the file `out`.

    The volume is one region, named in the export as the volume is, without .zarr. VolumeError for
    what holds no labels, ConfigError for slices it does not have.
    """
    require_labels(info)
    refuse_image(info, options.labels)
    require_present(Volume(info), options.labels, option="[crowd] labels")
    first, end = options.slices or (0, info.shape[0])
    if not 0 <= first < end <= info.shape[0]:
        raise ConfigError(
            f"[crowd] slices = [{first}, {end}], but {info.url} has {info.shape[0]} slices "
            "counted from 0; give the first and one past the last"
        )
    name = region_name(info.url)
    lasting = options.model_dump(mode="json", exclude={"ground_truth"}) | {"region": name}
    recipe = Recipe(
        "crowd",
        ALGORITHM,
        {"truth": fingerprint(info)},
        lasting,
        {"slices": slices_of_block(info)},
        {"truth": relative_url(info.url, out)},
    )
    export = Export(
        roi=name,
        shape=info.shape,
        voxel_nm=info.voxel_nm,
        scale=options.scale,
        classifier=options.classifier,
        volunteers=options.volunteers,
        corner_nm=stated_corner_nm(info),
    )
    pool = max(POOL, options.volunteers)
    people = volunteers(options.crowd, seed=options.seed, count=pool)
    task = DrawSlices(Volume(info), options.labels, people, export, Parts(f"{out}.parts"))
    drawn = Box((first, 0, 0), (end, *info.shape[1:]))
    return CrowdPlan(task, out, recipe, _step(task, drawn, recipe.digest))


def run_crowd(plan: CrowdPlan, runner: Runner) -> CrowdSummary:
    """What the volunteers drew, written to the plan's `url`.

    OutputError if another file is there: it may be an export that nobody can draw again.
    """
    admit(plan.claim, runner)
    if plan.claim.state == "done":
        return _summary(plan.url, read_provenance(plan.url))
    parts, indices = plan.task.parts, [block.index for block in plan.step.blocks]
    counts = Counter[str]()
    for record in runner.run(plan.step):
        counts.update(record)
    write_provenance(plan.url, plan.recipe, finished=False, folder=False)
    parts.join(plan.url, indices, first=header())
    write_provenance(plan.url, plan.recipe, finished=True, folder=False, **counts)
    runner.forget(plan.step.name)  # before its parts go: what is not recorded is made again
    parts.remove(indices)
    return _summary(plan.url, counts)


def _summary(url: str, counts: Any) -> CrowdSummary:
    return CrowdSummary(url, **{name: counts[name] for name in COUNTED})


def region_name(url: str) -> str:
    """The name of a volume in file names of frames: letters, digits, - and _ only.

    >>> region_name("data/ROI_1656-6756-329.zarr"), region_name("made.zarr/labels/nuclei")
    ('ROI_1656-6756-329', 'made-nuclei')
    """
    name = sibling(url, "").rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "region"


def _step(task: DrawSlices, drawn: Box, name: str) -> Step:
    info = task.truth.info
    depth, plane = slices_of_block(info), prod(info.shape[1:])
    tiles = Tiling(info.shape, (depth, *info.shape[1:])).over(drawn)
    blocks = tuple(Block(one.index, one.core.clip(drawn), one.read) for one in tiles)
    voxels, size = max(block.core.size for block in blocks), itemsize(info.dtype)
    rows = depth * task.export.volunteers * ROW_BYTES
    return Step(
        name="crowd",
        task=task,
        blocks=blocks,
        digest=name,
        peak_bytes=2 * voxels * size + plane * SLICE_BYTES_PER_VOXEL + 3 * rows,
        bytes_read=drawn.size * size,
        bytes_written=drawn.shape[0] * task.export.volunteers * ROW_BYTES // 4,
    )


def slices_of_block(info: VolumeInfo) -> int:
    """Slices one task works on."""
    plane = prod(info.shape[1:]) * itemsize(info.dtype)
    return max(1, min(info.levels[0].chunks[0], BLOCK_BYTES // plane))


def plan_from(request: Request) -> CrowdPlan:
    """The plan for what a command, a function or a run asks for."""
    return plan_crowd(request.volume("ground_truth"), request.out(), request.table(CrowdOptions))

"""Plan and run of `measure`: labels in, the table of objects and their meshes out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.stages.claims import Claim, admit
from volproc.stages.description import Request
from volproc.stages.empty_result import NOTHING, empty_result_reason, search_in
from volproc.stages.measure.formats.mesh_formats import require_format
from volproc.stages.measure.mesh.mesh_assembly import (
    Surfaces,
    begin_meshes,
    gathered,
    mesh_step,
    write_index,
)
from volproc.stages.measure.mesh.surface_extraction import (
    Surfacing,
    require_ids,
    smoothing_nm,
    surface_level,
    surface_step,
)
from volproc.stages.measure.mesh.surface_files import SurfaceFiles
from volproc.stages.measure.options import MeasureOptions
from volproc.stages.measure.tables.measured_columns import table_of
from volproc.stages.measure.tables.table_files import require_parquet, write_table
from volproc.stages.measure.tables.voxel_sums import (
    Counted,
    CountObjects,
    Values,
    count_step,
    counted,
    values_under,
)
from volproc.stages.objects.table import Columns
from volproc.stages.provenance import write_provenance
from volproc.volume.access import exists, relative_url
from volproc.volume.fingerprint import fingerprint
from volproc.volume.metadata import Level, VolumeInfo, shard_shape
from volproc.volume.store import Volume

ALGORITHM = 2
"""Raised by hand when the same volumes and options would give other numbers or meshes."""
MESH_ALGORITHM = 2
"""Raised by hand when the same surfaces and options would give other meshes."""
ADDED = {"meshes", "closed", "mesh_error_nm", "mesh_ids", "parquet", "properties"}
"""Options that add files and change no number."""
BLOCK_BYTES_PER_VOXEL = 8
"""Of shard_shape: blocks of 8 million voxels."""


@dataclass(frozen=True)
class MeasurePlan:
    """Everything decided about a measurement before a voxel is read."""

    labels: VolumeInfo
    image: Values | None
    votes: Values | None
    folder: str
    options: MeasureOptions
    level: int
    recipe: Recipe

    @property
    def digest(self) -> str:
        """Names what is counted: not surfaces, which options about meshes change."""
        threshold = self.options.threshold
        cut = _core(self.labels.levels[0]), _core(self.surface_level)
        return digest("measure", ALGORITHM, self.recipe.inputs, threshold, cut)

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
    def steps(self) -> tuple[Step, ...]:
        """All steps that are known before the objects are; then come the meshes, if any."""
        return (self.count_step, self.surface_step)

    @property
    def count_step(self) -> Step:
        """Statistics, values and fragments of the objects of every block."""
        info = self.labels
        return count_step(
            CountObjects(
                labels=Volume(info),
                image=self.image,
                votes=self.votes,
                threshold=self.options.threshold,
                folder=self.parts,
                digest=self.digest,
            ),
            core=_core(info.levels[0]),
        )

    @property
    def surface_step(self) -> Step:
        """Surfaces of the objects of every block."""
        return surface_step(
            Volume(self.labels),
            self.files,
            level=self.level,
            core=_core(self.surface_level),
            how=Surfacing(self._smooth_nm, self.options.closed),
            keep=self.options.meshes != "none",
        )

    @property
    def surface_level(self) -> Level:
        """The level of the labels that surfaces are made of."""
        return self.labels.levels[self.level]

    @property
    def parts(self) -> str:
        """Where blocks leave what they found."""
        return f"{self.folder}/parts"

    @property
    def files(self) -> SurfaceFiles:
        """Where blocks leave surfaces."""
        options = self.options
        how = (self.level, self._smooth_nm, options.closed, options.meshes != "none")
        return SurfaceFiles(f"{self.folder}/parts", digest(self.digest, *how))

    @property
    def _smooth_nm(self) -> float:
        return smoothing_nm(self.surface_level, self.options.smooth_nm)


@dataclass(frozen=True)
class MeasureResult:
    """What was measured, and where it is. `meshes` is the folder of meshes, None without."""

    table: str
    columns: Columns
    meshes: str | None

    why: str = ""
    """Why there are no objects; "" where there are some."""

    @property
    def objects(self) -> int:
        """How many there are."""
        return len(self.columns["id"])


def plan_measure(
    labels: VolumeInfo,
    folder: str,
    options: MeasureOptions,
    *,
    image: VolumeInfo | None = None,
    votes: VolumeInfo | None = None,
) -> MeasurePlan:
    """Decide how the objects of `labels` are measured; tables and meshes go into `folder`.

    `image` gives the mean intensity, `votes` (a channel per axis) their mean agreement; both may
    have other voxels and be larger, but must cover the labels. VolumeError for volumes that do not
    fit, ConfigError for a package that is missing.
    """
    if votes and not votes.channels:
        raise VolumeError(
            f"{votes.url} has no channels; the agreement needs the votes of several axes: "
            "`volproc predict --votes` keeps them"
        )
    if image and image.channels:
        raise VolumeError(
            f"{image.url} has channels ({', '.join(image.channels)}); the intensity needs one "
            "value per voxel: choose one with `volproc ingest --channel`"
        )
    if options.meshes != "none":
        require_format(options.meshes, error_nm=options.mesh_error_nm)
    if options.parquet:
        require_parquet()
    require_ids(labels)
    if labels.kind == "image":
        raise VolumeError(
            f"{labels.url} is an image; give its labels (such as {labels.url}/labels/...), or make "
            "labels of it: `volproc ingest --labels`"
        )
    level = surface_level(labels, voxel_nm=options.mesh_voxel_nm)
    smoothing_nm(labels.levels[level], options.smooth_nm)
    given = {"labels": labels, "image": image, "votes": votes}
    read = {name: info for name, info in given.items() if info}
    return MeasurePlan(
        labels=labels,
        image=values_under(labels, image) if image else None,
        votes=values_under(labels, votes) if votes else None,
        folder=folder.rstrip("/"),
        options=options,
        level=level,
        recipe=Recipe(
            "measure",
            ALGORITHM,
            {name: fingerprint(info) for name, info in read.items()},
            options.model_dump(exclude=ADDED),
            places={name: relative_url(info.url, folder) for name, info in read.items()},
        ),
    )


def run_measure(plan: MeasurePlan, runner: Runner) -> MeasureResult:
    """The table of all objects, in the order of their ids, and their meshes."""
    admit(plan.claim, runner)
    write_provenance(plan.folder, plan.recipe, finished=False, folder=True)
    if not exists(plan.parts):  # removed by hand: the record of them is void
        for step in plan.steps:
            runner.forget(step.name)
    count, surface = plan.steps
    for step in plan.steps:
        runner.run(step)
    found = counted(plan.parts, plan.digest, Tiling(plan.labels.shape, count.blocks[0].core.shape))
    surfaces = gathered(plan.files, surface.blocks)
    columns = _columns(plan, found, surfaces)
    write_table(columns, plan.labels, plan.options, url=f"{plan.folder}/objects")
    meshes = _meshes(plan, surfaces, surface, runner) if plan.options.meshes != "none" else None
    write_provenance(plan.folder, plan.recipe, finished=True, folder=True)
    return MeasureResult(plan.table, columns, meshes, _why(plan.labels, columns))


def _why(labels: VolumeInfo, columns: Columns) -> str:
    if len(columns["id"]):
        return ""
    known = labels.provenance.get(NOTHING)  # its own words, of its search
    return known or empty_result_reason(
        search_in(labels, else_=f"every voxel of {labels.url} is 0")
    )


def _columns(plan: MeasurePlan, found: Counted, surfaces: Surfaces) -> Columns:
    given = (("mean_intensity", plan.image), ("agreement", plan.votes))
    return table_of(
        found,
        (surfaces.ids, surfaces.sums),
        values=tuple(name for name, values in given if values),
        voxel_nm=plan.labels.voxel_nm,
        surface_voxel_nm=plan.surface_level.voxel_nm,
        shape=plan.labels.shape,
    )


def _meshes(plan: MeasurePlan, surfaces: Surfaces, first: Step, runner: Runner) -> str:
    options, folder = plan.options, f"{plan.folder}/meshes"
    assert options.meshes != "none"
    chosen = surfaces.only(options.mesh_ids, what=plan.labels.url)
    step = mesh_step(
        plan.labels,
        chosen,
        plan.files,
        first.blocks,
        level=plan.level,
        folder=folder,
        kind=options.meshes,
        error_nm=options.mesh_error_nm,
        worker_bytes=runner.engine.worker_bytes,
    )
    how = options.model_dump(include={"meshes", "mesh_error_nm", "mesh_ids"})
    step = replace(step, digest=digest(step.digest, MESH_ALGORITHM, how))
    begin_meshes(runner, step, plan.files, folder=folder)
    runner.run(step)
    write_index(chosen, plan.labels, folder=folder, kind=options.meshes)
    return folder


def _core(level: Level) -> tuple[int, int, int]:
    """Whole chunks, up to 8 million voxels."""
    return shard_shape(level.shape, chunks=level.chunks, bytes_per_voxel=BLOCK_BYTES_PER_VOXEL)


def plan_from(request: Request) -> MeasurePlan:
    """The plan for what a command, a function or a run asks for."""
    return plan_measure(
        request.volume("labels"),
        request.out(),
        request.table(MeasureOptions),
        image=request.given("image"),
        votes=request.given("votes"),
    )

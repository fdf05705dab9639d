"""Plan and run of `measure`: labels in, the table of objects and their meshes out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from volproc.engine.ledger import digest
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner, only
from volproc.errors import VolumeError
from volproc.stages.claims import admit
from volproc.stages.description import Request
from volproc.stages.edits.history import belongs_to, forget_note, history_of, touched_by
from volproc.stages.empty_result import NOTHING, empty_result_reason, search_in
from volproc.stages.measure.formats.mesh_formats import require_format
from volproc.stages.measure.mesh.mesh_assembly import (
    ObjectSurfaces,
    WriteMeshes,
    begin_meshes,
    gathered,
    mesh_step,
    touched_meshes,
    write_index,
)
from volproc.stages.measure.mesh.surface_extraction import (
    smoothing_nm,
    surface_level,
)
from volproc.stages.measure.options import MeasureOptions
from volproc.stages.measure.plan import ALGORITHM, MeasurePlan
from volproc.stages.measure.tables.measured_table import require_parquet, table_of, write_table
from volproc.stages.measure.tables.voxel_sums import object_sums
from volproc.stages.objects.sampled_volume import sampled_at
from volproc.stages.objects.table import Columns
from volproc.stages.provenance import read_provenance, write_provenance
from volproc.volume.access import exists, relative_url
from volproc.volume.channels import voted_classes, votes_of_class
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import require_ids
from volproc.volume.metadata import VolumeInfo

__all__ = ["MeasurePlan", "plan_measure", "run_measure"]

MESH_ALGORITHM = 2
"""Raised by hand when the same surfaces and options would give other meshes."""
ADDED = {
    *("meshes", "closed", "mesh_error_nm", "mesh_ids", "parquet", "properties"),
    "object_class",
}
"""Options that add files and change no number, or are named otherwise in its digest."""


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
    _require_inputs(labels, image, votes)
    if options.meshes != "none":
        require_format(options.meshes, error_nm=options.mesh_error_nm)
    if options.parquet:
        require_parquet()
    level = surface_level(labels, voxel_nm=options.mesh_voxel_nm)
    smoothing_nm(labels.levels[level], options.smooth_nm)
    inputs = {"labels": labels, "image": image, "votes": votes}
    read = {name: info for name, info in inputs.items() if info}
    return MeasurePlan(
        labels=labels,
        image=sampled_at(labels, image) if image else None,
        votes=sampled_at(labels, votes) if votes else None,
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
        history=history_of(labels),
    )


def _require_inputs(labels: VolumeInfo, image: VolumeInfo | None, votes: VolumeInfo | None) -> None:
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
    require_ids(labels)
    if labels.kind == "image":
        raise VolumeError(
            f"{labels.url} is an image; give its labels (such as {labels.url}/labels/...), or make "
            "labels of it: `volproc ingest --labels`"
        )


def run_measure(plan: MeasurePlan, runner: Runner) -> MeasureResult:
    """The table of all objects, in the order of their ids, and their meshes."""
    admit(plan.claim, runner)
    complete = bool(read_provenance(plan.folder).get("finished"))
    write_provenance(plan.folder, plan.recipe, finished=False, folder=True)
    plan = _begun(plan, runner)
    runner.run_together(*map(only, plan.steps))
    surfaces = gathered(plan.files, plan.surface_step.blocks)
    columns = _columns(plan, surfaces)
    write_table(columns, plan.labels, plan.options, url=f"{plan.folder}/objects")
    meshes = None
    if plan.options.meshes != "none":
        meshes = _meshes(plan, surfaces, runner, complete=complete)
    if plan.history:
        plan.history.note_done(plan.note)
    write_provenance(plan.folder, plan.recipe, finished=True, folder=True)
    return MeasureResult(plan.table, columns, meshes, _why(plan.labels, columns))


def _begun(plan: MeasurePlan, runner: Runner) -> MeasurePlan:
    """The plan with the edits whose blocks are measured again; void records are dropped."""
    others = not belongs_to(plan.note, plan.history)
    if others or not exists(plan.parts):  # removed by hand: the record of them is void
        for step in plan.steps:
            runner.forget(step.name)
    if others:
        plan.files.save_mesh_digest("")
        forget_note(plan.note)
    return replace(plan, doubtful=plan.history.doubtful(plan.note)) if plan.history else plan


def _why(labels: VolumeInfo, columns: Columns) -> str:
    if len(columns["id"]):
        return ""
    known = labels.provenance.get(NOTHING)  # what the stage that made them found out
    return known or empty_result_reason(
        search_in(labels, else_=f"every voxel of {labels.url} is 0")
    )


def _columns(plan: MeasurePlan, surfaces: ObjectSurfaces) -> Columns:
    named = (("mean_intensity", plan.image), ("agreement", plan.votes))
    return table_of(
        object_sums(plan.parts, plan.digest, plan.tiling),
        (surfaces.ids, surfaces.sums),
        values=tuple(name for name, volume in named if volume),
        voxel_nm=plan.labels.voxel_nm,
        surface_voxel_nm=plan.surface_level.voxel_nm,
        shape=plan.labels.shape,
    )


def _meshes(plan: MeasurePlan, surfaces: ObjectSurfaces, runner: Runner, *, complete: bool) -> str:
    """The folder of the meshes. Where it was `complete`, those of objects that edits touched are
    made again and no others."""
    options, folder = plan.options, f"{plan.folder}/meshes"
    assert options.meshes != "none"
    chosen = surfaces.only(options.mesh_ids, what=plan.labels.url)
    task = WriteMeshes(
        plan.labels, plan.files, plan.level, folder, options.meshes, options.mesh_error_nm
    )
    blocks = plan.surface_step.blocks
    step = mesh_step(task, chosen, blocks, worker_bytes=runner.engine.worker_bytes)
    how = options.model_dump(include={"meshes", "mesh_error_nm", "mesh_ids"})
    step = replace(step, digest=digest(step.digest, MESH_ALGORITHM, how))
    if plan.history and complete and plan.files.mesh_digest() == step.digest:
        again = touched_meshes(task, chosen, touched_by(plan.doubtful), blocks, runner)
        runner.run(replace(again, digest=digest(step.digest, plan.recipe.inputs)))
        plan.files.save_mesh_digest(step.digest)
    else:
        if plan.doubtful:  # killed before the meshes knew of them: none is trusted
            plan.files.save_mesh_digest("")
        begin_meshes(runner, step, plan.files, folder=folder)
        runner.run(step)
    write_index(chosen, plan.labels, folder=folder, kind=options.meshes)
    return folder


def plan_from(request: Request) -> MeasurePlan:
    """The plan for what a command, a function or a run asks for."""
    options, votes = request.table(MeasureOptions), request.given("votes")
    return plan_measure(
        request.volume("labels"),
        request.out(),
        options,
        image=request.given("image"),
        votes=_votes_for(request, options, votes) if votes else None,
    )


def _votes_for(request: Request, options: MeasureOptions, votes: VolumeInfo) -> VolumeInfo | None:
    """Those of the class whose objects they are; none in a run that labels all of several."""
    name = options.object_class
    if request.run and voted_classes(votes):
        name = name or request.run.workflow.label.object_class
        if not name:
            return None
    return votes_of_class(votes, name, option="[measure] object_class")

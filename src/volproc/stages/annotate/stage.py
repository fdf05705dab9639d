"""Plan and run of `annotate`: an export of drawings in, label volumes and a quality page out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from volproc.engine.events import Watcher
from volproc.engine.ledger import digest
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import AnnotateError
from volproc.stages.annotate.export.region_layout import lay_out
from volproc.stages.annotate.export.subject_metadata import read_manifest
from volproc.stages.annotate.export.vote_reader import VoteIndex, read_vote_index, store_votes
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.page.result_files import Findings, ResultFiles, write_results
from volproc.stages.annotate.plan import SMALLER, TRIED, AnnotatePlan
from volproc.stages.annotate.quality.ground_truth import ground_truth_of
from volproc.stages.annotate.quality.skills import Errors, skills
from volproc.stages.annotate.quality.slice_quality import SliceQuality
from volproc.stages.annotate.quality.slice_scores import (
    MeanScores,
    MethodDistance,
    MethodScores,
    by_method,
)
from volproc.stages.annotate.quality.volunteers_needed import Subsample
from volproc.stages.claims import admit
from volproc.stages.description import Request
from volproc.stages.output import begin_volumes, cutting_of, finish_volume
from volproc.volume.access import exists, relative_url
from volproc.volume.file_io import content_digest, sibling, write_file
from volproc.volume.fingerprint import fingerprint
from volproc.volume.metadata import VolumeInfo, Window, new_volume
from volproc.volume.store import Volume, open_volume

__all__ = ["AnnotatePlan", "AnnotateResult", "plan_annotate", "run_annotate", "without_image"]

ALGORITHM = 1
"""Raised by hand when the same drawings and options would give other labels."""
MAX_ACROSS, MULTIPLE = 2048, 128
"""Voxels along a side of a task's block: at most, and a multiple of."""
READING = frozenset(
    {
        "workflow", "workflow_version", "task", "tool", "bezier_tools", "frames", "subject_name",
        "frame_name", "frame_pattern", "first_slice", "rois", "duplicates", "voxel_nm",
        "block_slices",
    }
)  # fmt: skip
"""Options on which the votes depend."""
PATHS = frozenset({"export", "manifest", "ground_truth"})
"""Options that name files: what is in them counts, not where they are."""
TRYING = frozenset({"ground_truth_labels", "compare", "levels"})
"""Options on which no volume depends."""


@dataclass(frozen=True)
class AnnotateResult:
    """What was written: the volumes, and page and tables next to them.

    `scores` are those of each method that was tried, where there is a ground truth.
    """

    volumes: tuple[Volume, ...]
    gathered: VoteIndex
    written: ResultFiles
    scores: dict[str, MeanScores]


def plan_annotate(
    export: str, image: VolumeInfo, out: str, options: AnnotateOptions, *, content: str = ""
) -> AnnotatePlan:
    """Decide volumes and blocks for the drawings in `export` on the slices of `image`.

    `content` names what an export will hold that is still to be drawn. An image without a url is
    blank. AnnotateError if there is no such export, or the ground truth has other voxels;
    VolumeError if it lies elsewhere.
    """
    if not content and not exists(export):
        raise AnnotateError(f"{export} does not exist; expected a classification export (CSV)")
    there = options.manifest and exists(options.manifest)
    files = (content or content_digest(export), content_digest(options.manifest) if there else "")
    lasting = options.recorded(exclude=PATHS | TRYING)
    volumes = _volumes(image, out, options)
    seen = fingerprint(image) if image.url else ""
    recipe = Recipe(
        "annotate",
        ALGORITHM,
        dict(zip(("export", "manifest", "image"), (*files, seen), strict=True)),
        lasting,
        cutting_of(volumes[0].write_unit, *volumes),
        {"export": relative_url(export, out)},
        renamed=options.RENAMED,
    )
    grid = (image.shape, image.voxel_nm, image.corner_nm)
    opened = open_volume(options.ground_truth) if options.ground_truth else None
    truth = (
        ground_truth_of(opened.info, options.ground_truth_labels, image=image) if opened else None
    )
    part = (
        () if truth is None or truth.where == image.box else (truth.where.start, truth.where.stop)
    )
    return AnnotatePlan(
        export=export,
        image=image,
        volumes=tuple(info.with_provenance(recipe=recipe.record()) for info in volumes),
        options=options,
        reading=digest(
            "votes", ALGORITHM, *files, grid, options.model_dump(mode="json", include=set(READING))
        ),
        recipe=recipe,
        trying=digest(
            "trials",
            recipe.digest,
            opened.fingerprint if opened else "",
            options.ground_truth_labels,
            *part,
        ),
        truth=truth,
    )


def _volumes(image: VolumeInfo, out: str, options: AnnotateOptions) -> tuple[VolumeInfo, ...]:
    _, rows, columns = image.shape
    down, across = (min(-(-side // MULTIPLE) * MULTIPLE, MAX_ACROSS) for side in (rows, columns))
    shards = (options.block_slices, down, across)
    new = partial(
        new_volume,
        shape=image.shape,
        voxel_nm=image.voxel_nm,
        corner_nm=image.corner_nm,
        dtype="uint8",
    )
    grey = Window(0, 255, 0, 255)
    return (
        new(out, kind="labels", shards=shards),
        new(sibling(out, "-envelope.zarr"), kind="labels", shards=shards),
        new(sibling(out, "-agreement.zarr"), shards=shards, window=grey),
        new(sibling(out, "-ignore.zarr"), kind="labels", shards=shards),
    )


def without_image(
    export: str, out: str, options: AnnotateOptions, *, watchers: Sequence[Watcher] = ()
) -> tuple[VolumeInfo, AnnotateOptions]:
    """An image that shows nothing, and the options with the manifest of its regions.

    They are laid out one after the other along z; a manifest beside `out` says where.
    """
    layout = lay_out(export, options, watchers=watchers)
    info = new_volume("", shape=layout.shape, voxel_nm=layout.voxel_nm, dtype="uint8")
    if options.manifest:
        return info, options
    manifest = sibling(out, "-manifest.csv")
    write_file(manifest, layout.manifest().encode())
    return info, options.model_copy(update={"manifest": manifest})


def run_annotate(plan: AnnotatePlan, runner: Runner) -> AnnotateResult:
    """The finished volumes, the quality page and the tables beside them."""
    admit(plan.claim, runner)
    gathered = _gathered(plan, runner)
    blocks = gathered.blocks
    errors: list[Errors] = []
    if plan.weighs:
        errors = _joined(runner.run(plan.measure_step(gathered.telling)))
    known = skills(errors)
    plan, finished, slices = _annotated(plan, runner, blocks, known)
    drawn = sorted({one.z for one in slices if one.drawn})
    tried = {s.name: _joined(runner.run(s)) for s in plan.trial_steps(blocks, known, drawn)}
    methods = tried.get(TRIED, [])
    found = Findings(
        gathered=gathered,
        slices=slices,
        errors=errors,
        known=known,
        subsamples=[Subsample(**row) for row in tried[SMALLER]],
        scored=[MethodScores.read(row) for row in methods] if plan.truth else (),
        apart=[MethodDistance(**row) for row in methods] if not plan.truth else (),
    )
    return AnnotateResult(finished, gathered, write_results(plan, found), by_method(found.scored))


def _annotated(
    plan: AnnotatePlan, runner: Runner, blocks: tuple[int, ...], known: dict[str, float]
) -> tuple[AnnotatePlan, tuple[Volume, ...], list[SliceQuality]]:
    """The plan with the volumes as they are, those finished, and what is known of each slice."""
    pyramids = [step for pyramid in plan.pyramids for step in pyramid]
    every = (plan.annotate_step(blocks, known), *pyramids)
    how = {"step": "annotate", "digest": plan.digest}
    volumes = begin_volumes(runner, plan.volumes, steps=every, **how)
    plan = replace(plan, volumes=tuple(volume.info for volume in volumes))
    rows = _joined(runner.run(plan.annotate_step(blocks, known)))
    steps = zip(volumes, plan.pyramids, strict=True)
    finished = tuple(finish_volume(runner, volume, pyramid) for volume, pyramid in steps)
    return plan, finished, [SliceQuality(**row) for row in rows]


def _joined(records: Sequence[Sequence[Any]]) -> list[Any]:
    return [one for record in records for one in record]


def _gathered(plan: AnnotatePlan, runner: Runner) -> VoteIndex:
    if exists(f"{plan.folder}/votes.json"):
        return read_vote_index(plan.folder)
    manifest = read_manifest(plan.options.manifest) if plan.options.manifest else None
    return store_votes(
        plan.export,
        plan.folder,
        plan.options,
        volume=plan.image.box,
        voxel_nm=plan.image.voxel_nm,
        corner_nm=plan.image.corner_nm,
        manifest=manifest,
        watchers=runner.watchers,
    )


def plan_from(request: Request) -> AnnotatePlan:
    """The plan for what a command, a function or a run asks for."""
    export, out, options = request.path("export"), request.out(), request.table(AnnotateOptions)
    if str(request.inputs.get("image") or "none").lower() == "none":
        image, options = without_image(export, out, options, watchers=request.watchers)
    else:
        image = request.volume("image")
    crowd = request.coming("crowd") if request.origins.get("export") == "crowd" else None
    return plan_annotate(export, image, out, options, content=crowd.digest if crowd else "")

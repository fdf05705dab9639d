"""Everything that `evaluate` decides before a voxel is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.errors import ConfigError, VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, Shape
from volproc.stages.array_namespace import require_device
from volproc.stages.claims import Claim
from volproc.stages.evaluate.block_surfaces import SurfaceTask
from volproc.stages.evaluate.block_tables import TableFiles
from volproc.stages.evaluate.options import EvaluateOptions
from volproc.stages.evaluate.result import Result, Target, chosen_in_full, result_of
from volproc.stages.evaluate.score_blocks import Ignored, ScoreBlocks, block_of
from volproc.volume.access import relative_url
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import require_labels, require_present
from volproc.volume.metadata import VolumeInfo
from volproc.volume.sampling import overlap
from volproc.volume.store import Volume

ALGORITHM = 4
"""Raised by hand when the same volumes and options would give other scores."""
TRUTH_LABELS = "[evaluate] ground_truth_labels"
NOT_COUNTED = {"ground_truth", "ignore", "csv", "page", "object_class", "device"}
"""Options that change no number, or by what is in the volume that they name."""
ASKED_FOR = {"votes_in_full"}
"""Options that only add: scores of before there were such stay as they were."""
NO_HALO = (0, 0, 0)
GRID_TOLERANCE = 0.001
"""By which share voxel sizes may differ and still be one grid."""


@dataclass(frozen=True)
class EvaluatePlan:
    """Everything decided about an evaluation before a voxel is read."""

    task: ScoreBlocks
    options: EvaluateOptions
    url: str
    recipe: Recipe
    csv: str = ""
    page: str = ""
    image: VolumeInfo | None = None

    @property
    def read(self) -> tuple[str, ...]:
        """The volumes that are compared, and what is ignored."""
        results = (result.volume.info.url for result in self.task.results)
        ignored = (self.task.ignore.volume.info.url,) if self.task.ignore else ()
        shown = (self.image.url,) if self.image and self.page else ()
        return (self.task.truth.info.url, *results, *ignored, *shown)

    @property
    def files(self) -> tuple[str, ...]:
        """What it writes."""
        return tuple(url for url in (self.url, self.csv, self.page) if url)

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        parts = (self.task.files.folder,) if self.task.files.folder else ()
        return Claim(self.recipe, self.read, folders=self.files, scratch=parts)

    @property
    def is_part(self) -> bool:
        """Whether a result covers another space than the ground truth: their overlap is scored."""
        shape = self.task.truth.info.shape
        return not all(result.sampling.fills(shape) for result in self.task.results)

    @property
    def step(self) -> Step:
        """Counts of every block of the ground truth's grid."""
        truth, halo = self.task.truth.info, halo_of(self.task)
        blocks = tuple(Tiling(truth.shape, block_of(truth, halo)).over(self.task.scored))
        return Step(
            name="evaluate",
            task=self.task,
            blocks=blocks,
            digest=self.recipe.digest,
            on_gpu=self.task.on_gpu,
            peak_bytes=max(map(self.task.peak_bytes, blocks)),
            bytes_read=sum(map(self.task.bytes_read, blocks)),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        return (self.step,)


def halo_of(task: ScoreBlocks) -> Shape:
    """Voxels that a block reads around it."""
    return task.surfaces.halo if task.surfaces else NO_HALO


def plan_evaluate(
    results: Mapping[str, VolumeInfo],
    truth: VolumeInfo,
    options: EvaluateOptions,
    *,
    url: str = "",
    csv: str = "",
    page: str = "",
    ignore: VolumeInfo | None = None,
    image: VolumeInfo | None = None,
) -> EvaluatePlan:
    """Decide how to score `results` (name to mask, labels, probability or votes) against `truth`.

    They may have other grids and other places than the ground truth: each of its voxels is compared
    with the result's voxel at its centre, where all results have one. `url`, `csv` and `page` are
    where the scores are written as JSON, table and page, if anywhere; the page shows the `image`.
    Voxels that are not 0 in `ignore`, on the ground truth's grid, do not count.
    VolumeError for volumes that cannot be compared, ConfigError for slices that are not there.
    """
    require_labels(truth)
    targets = targets_of(options)
    values = tuple(value for target in targets for value in target.values)
    require_present(Volume(truth), values, option=truth_option(options))
    found = tuple(
        result_of(name, info, truth=truth, threshold=options.threshold)
        for name, info in results.items()
    )
    if not options.votes_in_full:
        found = chosen_in_full(found)
    for result, target in product(found, targets):
        result.require(target)
    scored = _scored(found, truth, _slices(truth, options))
    surfaces = _surfaces(truth, options, depth=scored.shape[0])
    read = {"truth": truth, **results, **({"ignore": ignore} if ignore else {})}
    beside = url or csv or page
    recipe = Recipe(
        "evaluate",
        ALGORITHM,
        {name: fingerprint(info) for name, info in read.items()},
        options.recorded(exclude={*NOT_COUNTED, *(set() if options.votes_in_full else ASKED_FOR)}),
        {"block": block_of(truth, surfaces.halo if surfaces else NO_HALO)},
        {name: relative_url(info.url, beside) for name, info in read.items()},
        renamed=options.RENAMED,
    )
    task = ScoreBlocks(
        truth=Volume(truth),
        targets=targets,
        results=found,
        scored=scored,
        files=TableFiles(f"{beside}.volproc/blocks" if beside else "", recipe.digest),
        surfaces=surfaces,
        ignore=_ignored(ignore, truth, scored) if ignore else None,
        objects=options.objects and not options.classes,
        reference=options.reference,
    )
    return EvaluatePlan(task, options, url, recipe, csv=csv, page=page, image=image)


def targets_of(options: EvaluateOptions) -> tuple[Target, ...]:
    """What of the ground truth is scored: classes one by one, or some or all labels as one."""
    classes = options.values_of_classes
    found = tuple(Target(values, name) for name, values in classes.items())
    return found or (Target(options.ground_truth_labels),)


def truth_option(options: EvaluateOptions) -> str:
    """The option that chooses values of the ground truth."""
    return "[evaluate] classes" if options.classes else TRUTH_LABELS


def _slices(truth: VolumeInfo, options: EvaluateOptions) -> Box:
    first, end = options.slices or (0, truth.shape[0])
    if not 0 <= first < end <= truth.shape[0]:
        raise ConfigError(
            f"[evaluate] slices = [{first}, {end}], but {truth.url} has {truth.shape[0]} slices "
            "counted from 0; give the first and one past the last"
        )
    return Box((first, 0, 0), (end, *truth.shape[1:]))


def _surfaces(truth: VolumeInfo, options: EvaluateOptions, *, depth: int) -> SurfaceTask | None:
    asked = options.surfaces
    if asked == "none" and not options.reference:
        return None
    return SurfaceTask(
        truth.voxel_nm,
        options.most_distance_nm,
        # a single slice has no surface in space that is not at its border
        in_slices=asked in ("2d", "both") or (depth == 1 and asked != "none"),
        in_space=asked in ("3d", "both") and depth > 1,
        device=require_device(options.device, table="evaluate"),
    )


def _ignored(ignore: VolumeInfo, truth: VolumeInfo, scored: Box) -> Ignored:
    """VolumeError unless it is on the ground truth's grid, wherever that is scored."""
    require_labels(ignore)
    sampling, both = overlap(ignore, truth)
    fits = all(abs(f - 1) < GRID_TOLERANCE for f in sampling.factor)
    if not fits or not both.contains(scored):
        raise VolumeError(
            f"{ignore.url} has {_grid(ignore)}, the ground truth {truth.url} {_grid(truth)}; what "
            "is ignored must be on its grid and cover what is scored"
        )
    return Ignored(Volume(ignore), sampling)


def _grid(info: VolumeInfo) -> str:
    shape, nm = (" x ".join(f"{v:g}" for v in own) for own in (info.shape, info.voxel_nm))
    return f"{shape} voxels of {nm} nm"


def _scored(results: Sequence[Result], truth: VolumeInfo, slices: Box) -> Box:
    """The voxels of `slices` that are in all results; ConfigError if there is none."""
    scored = slices
    for result in results:
        scored = scored.clip(result.sampling.covered(truth.shape))
    if not scored.size:
        urls = ", ".join(result.volume.info.url for result in results)
        raise ConfigError(
            f"nothing to score: slices {slices.start[0]} to {slices.stop[0]} of {truth.url} lie "
            f"in none or not in all of {urls}; choose other [evaluate] slices, or score the "
            "results one by one"
        )
    return scored

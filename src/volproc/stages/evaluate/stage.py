"""Plan and run of `evaluate`: results and a ground truth in, scores out.

Only counts leave a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import ConfigError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box
from volproc.stages.claims import Claim, admit
from volproc.stages.description import Request
from volproc.stages.empty_result import (
    empty_result_reason,
    search_in,
)
from volproc.stages.evaluate.options import EvaluateOptions
from volproc.stages.evaluate.overlap import Overlap
from volproc.stages.evaluate.overlap_counts import (
    CountOverlap,
    Result,
    block_of,
    result_of,
)
from volproc.stages.evaluate.overlap_scores import (
    Score,
    Scores,
)
from volproc.stages.provenance import write_provenance
from volproc.volume.access import relative_url
from volproc.volume.channels import answers_of_class, holds_votes
from volproc.volume.file_io import write_file
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import (
    foreground_level,
    refuse_classes,
    require_found,
    require_labels,
    require_present,
)
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume

ALGORITHM = 2
"""Raised by hand when the same volumes and options would give other scores."""
TRUTH_LABELS = "[evaluate] ground_truth_labels"
WORKING_BYTES = 8
"""Per voxel of either: the sum of votes in uint16, its rounding, and three masks."""


@dataclass(frozen=True)
class EvaluatePlan:
    """Everything decided about an evaluation before a voxel is read."""

    counts: CountOverlap
    options: EvaluateOptions
    url: str
    recipe: Recipe

    @property
    def read(self) -> tuple[str, ...]:
        """The volumes that are compared."""
        results = (result.volume.info.url for result in self.counts.results)
        return (self.counts.truth.info.url, *results)

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        urls = (self.url,) if self.url else ()
        return Claim(self.recipe, self.read, folders=urls)

    @property
    def is_part(self) -> bool:
        """Whether a result covers another space than the ground truth: their overlap is scored."""
        shape = self.counts.truth.info.shape
        return not all(result.sampling.fills(shape) for result in self.counts.results)

    @property
    def step(self) -> Step:
        """Counts of every block of the ground truth's grid."""
        truth = self.counts.truth.info
        blocks = tuple(Tiling(truth.shape, block_of(truth)).over(self.counts.scored))
        read = [self.counts.bytes_read(block) for block in blocks]
        boxes = (blocks[0].core, *self._sources(blocks[0].core))
        largest = max(box.size for box in boxes)
        return Step(
            name="evaluate",
            task=self.counts,
            blocks=blocks,
            digest=self.recipe.digest,
            peak_bytes=max(read) + 2 * largest * WORKING_BYTES,
            bytes_read=sum(read),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        return (self.step,)

    def _sources(self, box: Box) -> list[Box]:
        return [result.sampling.source(box) for result in self.counts.results]


def plan_evaluate(
    results: Mapping[str, VolumeInfo],
    truth: VolumeInfo,
    options: EvaluateOptions,
    *,
    url: str = "",
) -> EvaluatePlan:
    """Decide how to score `results` (name to mask, labels, probability or votes) against `truth`.

    They may have other grids and other places than the ground truth: each of its voxels is compared
    with the result's voxel at its centre, where all results have one. `url` is where the scores are
    written as JSON, if anywhere.
    VolumeError for volumes that cannot be compared, ConfigError for slices that are not there.
    """
    require_labels(truth)
    require_present(Volume(truth), options.ground_truth_labels, option=TRUTH_LABELS)
    first, end = options.slices or (0, truth.shape[0])
    if not 0 <= first < end <= truth.shape[0]:
        raise ConfigError(
            f"[evaluate] slices = [{first}, {end}], but {truth.url} has {truth.shape[0]} slices "
            "counted from 0; give the first and one past the last"
        )
    found = tuple(
        result_of(name, info, truth=truth, threshold=options.threshold)
        for name, info in results.items()
    )
    counts = CountOverlap(
        truth=Volume(truth),
        labels=options.ground_truth_labels,
        results=found,
        scored=_scored(found, truth, Box((first, 0, 0), (end, *truth.shape[1:]))),
    )
    read = {"truth": truth, **results}
    recipe = Recipe(
        "evaluate",
        ALGORITHM,
        {name: fingerprint(info) for name, info in read.items()},
        options.recorded(exclude={"ground_truth", "object_class"}),
        {"block": block_of(truth)},
        {name: relative_url(info.url, url) for name, info in read.items()},
        renamed=options.RENAMED,
    )
    return EvaluatePlan(counts=counts, options=options, url=url, recipe=recipe)


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


def run_evaluate(plan: EvaluatePlan, runner: Runner) -> Scores:
    """The scores of every mask, written to the plan's `url` if it has one."""
    admit(plan.claim, runner)
    slices: dict[str, dict[int, Overlap]] = {}
    records = runner.run(plan.step)
    for record in records:
        for name, counts in record["counts"].items():
            of_name = slices.setdefault(name, {})
            for z, count in enumerate(counts, start=record["first"]):
                of_name[z] = of_name.get(z, Overlap()) + Overlap(*count)
    scores = tuple(Score(name, found) for name, found in slices.items())
    _refuse_misread(plan, scores, records)
    truth, scored = plan.counts.truth.info, plan.counts.scored
    about: dict[str, Any] = {
        "truth": truth.url,
        "truth_labels": list(plan.options.ground_truth_labels) or "all but 0",
        "voxel_nm": list(truth.voxel_nm),
        "slices": [scored.start[0], scored.stop[0]],
        "threshold": plan.options.threshold,
        "results": {result.name: result.volume.info.url for result in plan.counts.results},
    }
    if plan.is_part:
        about["overlap"] = {"first": list(scored.start), "end": list(scored.stop)}
    made = _explained(plan, Scores(scores, about))
    if made.note:
        runner.note(made.note)
    if plan.url:
        write_provenance(plan.url, plan.recipe, finished=False, folder=False)
        write_file(plan.url, made.to_json().encode())
        write_provenance(plan.url, plan.recipe, finished=True, folder=False)
    return made


def _refuse_misread(plan: EvaluatePlan, scores: Iterable[Score], records: Sequence[Any]) -> None:
    """Errors for a Dice of 0 that comes from a wrong option or a misread volume."""
    truth, options = plan.counts.truth.info, plan.options
    there = {label for record in records for label in record["labels"]}
    require_found(truth, {*options.ground_truth_labels} - there, option=TRUTH_LABELS)
    empty = {score.name for score in scores if not score.whole.tp + score.whole.fp}
    for result in plan.counts.results:
        if result.name in empty and not result.volume.info.channels:
            refuse_classes(
                result.volume.info,
                level=foreground_level(result.volume.info, threshold=options.threshold),
                highest=max(record["highest"][result.name] for record in records),
                option="[evaluate] threshold",
            )


def _explained(plan: EvaluatePlan, scores: Scores) -> Scores:
    """The scores with notes on a side that has nothing, where one has."""
    truth, threshold = plan.counts.truth.info, plan.options.threshold
    notes = []
    if scores.scores and not any(s.whole.tp + s.whole.fn for s in scores.scores):
        why = f"no voxel of the slices that are scored of {truth.url} counts"
        notes.append(empty_result_reason(search_in(truth, else_=why), what="nothing to find"))
    infos = {result.name: result.volume.info for result in plan.counts.results}
    for score in scores.scores:
        info = infos.get(score.name)
        if info and not score.whole.tp + score.whole.fp:
            known = f"no voxel that is scored of {info.url} reaches the threshold of {threshold:g}"
            search = search_in(info, threshold=threshold, else_=known)
            notes.append(empty_result_reason(search, what=f"{score.name}: nothing found"))
    return replace(scores, about={**scores.about, "notes": notes}) if notes else scores


def plan_from(request: Request) -> EvaluatePlan:
    """The plan for what a command, a function or a run asks for."""
    results = {"prediction": request.given("result"), "votes": request.given("votes")}
    if not request.run:
        found = request.volume("result")
        results = {"votes" if holds_votes(found) else "result": found}
    options = request.table(EvaluateOptions)
    name, option = options.object_class, "[evaluate] object_class"
    return plan_evaluate(
        {key: answers_of_class(i, name, option=option) for key, i in results.items() if i},
        request.volume("ground_truth"),
        options,
        url=request.out(),
    )

"""Plan and run of `evaluate`: results and a ground truth in, scores out.

Only counts leave a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from volproc.engine.run import Runner
from volproc.stages.claims import admit
from volproc.stages.description import Request
from volproc.stages.empty_result import (
    empty_result_reason,
    search_in,
)
from volproc.stages.evaluate.gathering import Gathered
from volproc.stages.evaluate.options import EvaluateOptions
from volproc.stages.evaluate.plan import EvaluatePlan, plan_evaluate, truth_option
from volproc.stages.evaluate.score_page import page_of
from volproc.stages.evaluate.score_table import csv_of
from volproc.stages.evaluate.scores import (
    Score,
    Scores,
)
from volproc.stages.provenance import write_provenance
from volproc.volume.access import exists
from volproc.volume.channels import answers_of_class, holds_votes, voted_classes
from volproc.volume.file_io import write_file
from volproc.volume.kinds import (
    foreground_level,
    refuse_classes,
    require_found,
)
from volproc.volume.metadata import VolumeInfo

__all__ = ["EvaluatePlan", "plan_evaluate", "plan_from", "run_evaluate"]


def run_evaluate(plan: EvaluatePlan, runner: Runner) -> Scores:
    """The scores of every answer, written to the plan's `url` if it has one."""
    admit(plan.claim, runner)
    if plan.files and not exists(plan.task.files.folder):  # removed by hand: their record is void
        runner.forget(plan.step.name)
    records = runner.run(plan.step)
    gathered = Gathered.of(plan.task, records, plan.options.tolerances_nm)
    scores = gathered.scores()
    _refuse_misread(plan, scores, records)
    made = _explained(plan, Scores(scores, _about(plan), gathered.formulas()))
    if made.note:
        runner.note(made.note)
    _write(plan, made)
    return made


def _write(plan: EvaluatePlan, made: Scores) -> None:
    if plan.url:
        _write_file(plan, plan.url, made.to_json())
    if plan.csv:
        _write_file(plan, plan.csv, csv_of(made))
    if plan.page:
        _write_file(plan, plan.page, page_of(made, plan.task, image=plan.image))


def _write_file(plan: EvaluatePlan, url: str, text: str) -> None:
    write_provenance(url, plan.recipe, finished=False, folder=False)
    write_file(url, text.encode())
    write_provenance(url, plan.recipe, finished=True, folder=False)


def _about(plan: EvaluatePlan) -> dict[str, Any]:
    task, options = plan.task, plan.options
    truth, scored = task.truth.info, task.scored
    about: dict[str, Any] = {
        "truth": truth.url,
        "truth_labels": list(options.ground_truth_labels) or "all but 0",
        **({"classes": options.values_of_classes} if options.classes else {}),
        "voxel_nm": list(truth.voxel_nm),
        "slices": [scored.start[0], scored.stop[0]],
        "threshold": options.threshold,
        "results": {result.name: result.volume.info.url for result in task.results},
    }
    if task.ignore:
        about["ignore"] = task.ignore.volume.info.url
    if plan.is_part:
        about["overlap"] = {"first": list(scored.start), "end": list(scored.stop)}
    return about


def _refuse_misread(plan: EvaluatePlan, scores: Iterable[Score], records: Sequence[Any]) -> None:
    """Errors for a Dice of 0 that comes from a wrong option or a misread volume."""
    truth, options = plan.task.truth.info, plan.options
    there = {label for record in records for label in record["labels"]}
    require_found(truth, {*plan.task.labels} - there, option=truth_option(options))
    empty = {score.name for score in scores if not score.whole.tp + score.whole.fp}
    for result in plan.task.results:
        if result.name in empty and not result.volume.info.channels:
            refuse_classes(
                result.volume.info,
                level=foreground_level(result.volume.info, threshold=options.threshold),
                highest=max(record["highest"][result.name] for record in records),
                option="[evaluate] threshold",
            )


def _explained(plan: EvaluatePlan, scores: Scores) -> Scores:
    """The scores with notes on a side that has nothing, where one has."""
    truth, threshold = plan.task.truth.info, plan.options.threshold
    notes = []
    if scores.scores and not any(s.whole.tp + s.whole.fn for s in scores.scores):
        why = f"no voxel of the slices that are scored of {truth.url} counts"
        notes.append(empty_result_reason(search_in(truth, else_=why), what="nothing to find"))
    infos = {result.name: result.volume.info for result in plan.task.results}
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
    found_there = {name: info for name, info in results.items() if info}
    return plan_evaluate(
        _answers(found_there, options),
        request.volume("ground_truth"),
        options,
        url=request.out("out"),
        csv=request.out("csv"),
        page=request.out("page"),
        ignore=request.given("ignore"),
        image=request.given("image"),
    )


def _answers(results: Mapping[str, VolumeInfo], options: EvaluateOptions) -> dict[str, VolumeInfo]:
    """The results as they are scored: all classes, or of each result the one that is named."""
    if options.classes:  # votes of several classes have no channel of a class's name
        return {name: info for name, info in results.items() if not voted_classes(info)}
    name, option = options.object_class, "[evaluate] object_class"
    return {key: answers_of_class(i, name, option=option) for key, i in results.items()}

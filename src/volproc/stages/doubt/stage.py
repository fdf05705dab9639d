"""Plan and run of `doubt`: labels and votes in, the probability that each object is right out."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from volproc.engine.run import Runner
from volproc.model.doubt_model import Verdict, judged
from volproc.stages.claims import admit
from volproc.stages.description import Request
from volproc.stages.doubt.doubt_table import (
    PROBABILITY,
    add_to_objects,
    columns_of,
    write_doubt_table,
)
from volproc.stages.doubt.doubt_tasks import (
    AXES_FILE,
    Counted,
    axes_of,
    counted,
    stored_counts,
    stored_profiles,
)
from volproc.stages.doubt.expected_scores import (
    Expected,
    expected_precision,
    expected_recall,
    traces_of,
)
from volproc.stages.doubt.object_features import Features, features_of
from volproc.stages.doubt.options import DoubtOptions
from volproc.stages.doubt.plan import DoubtPlan, model_that_predicted, plan_doubt
from volproc.stages.objects.table import Columns
from volproc.stages.provenance import write_provenance
from volproc.volume.access import exists
from volproc.volume.channels import answers_of_class, holds_votes, voted_classes
from volproc.volume.file_io import read_file, sibling, write_file
from volproc.volume.metadata import VolumeInfo

__all__ = ["DoubtPlan", "plan_doubt", "plan_from", "run_doubt"]

LISTED = 100
"""Of the most doubtful objects, in doubt.json."""


@dataclass(frozen=True)
class DoubtResult:
    """What was judged. `columns` has a row for each object; `url` is doubt.json, `table` all
    features."""

    url: str
    table: str
    columns: Columns
    expected_precision: Expected
    expected_recall: Expected
    notes: tuple[str, ...]

    @property
    def objects(self) -> int:
        """How many there are."""
        return len(self.columns["id"])

    @property
    def most_doubtful(self) -> list[int]:
        """Ids, the least probable first."""
        order = np.argsort(self.columns[PROBABILITY], kind="stable")[:LISTED]
        return [int(one) for one in self.columns["id"][order]]


def run_doubt(plan: DoubtPlan, runner: Runner) -> DoubtResult:
    """Every object's probability, in tables; precision and recall to be expected, in doubt.json."""
    admit(plan.claim, runner)
    if not exists(plan.files.folder):  # removed by hand: the record of the blocks is void
        for step in plan.steps:
            runner.forget(step.name)
    for url in (plan.url, plan.table):
        write_provenance(url, plan.recipe, finished=False, folder=False)
    found, features = measured_objects(plan, runner)
    judge = plan.model.judge(plan.axes)
    verdict = judged(judge, features.names, features.values)
    made = _result(plan, found, features, verdict)
    write_doubt_table(made.columns, plan.table)
    if left := add_to_objects(made.columns, sibling(plan.labels.url, ".csv")):
        made = replace(made, notes=(*made.notes, left))
    write_file(plan.url, json.dumps(_record(plan, made), indent=1).encode())
    for url in (plan.url, plan.table):
        write_provenance(url, plan.recipe, finished=True, folder=False)
    return made


def measured_objects(plan: DoubtPlan, runner: Runner) -> tuple[Counted, Features]:
    """What both passes find of every object, and their features."""
    runner.run(plan.count_step)
    found = counted(stored_counts(plan.files, plan.tiling), plan.labels.shape)
    voxel_nm = plan.labels.voxel_nm
    plan.files.save(AXES_FILE, axes_of(found, voxel_nm=voxel_nm))
    runner.run(plan.profile_step)
    profiles = stored_profiles(plan.files, plan.tiling)
    return found, features_of(found, profiles, voxel_nm=voxel_nm, axes=plan.axes)


def _result(plan: DoubtPlan, found: Counted, features: Features, verdict: Verdict) -> DoubtResult:
    judge, probability = plan.model.judge(plan.axes), verdict.probability
    traces = traces_of(found.yes(plan.axes), found.objects.voxels, probability, found.lumps)
    return DoubtResult(
        plan.url,
        plan.table,
        columns_of(found.ids, verdict, features),
        expected_precision(probability, judge),
        expected_recall(probability, traces, judge),
        (*plan.notes, *_seam_note(plan)),
    )


def _record(plan: DoubtPlan, made: DoubtResult) -> dict[str, Any]:
    model = plan.model
    return {
        "objects": made.objects,
        "expected_precision": made.expected_precision._asdict(),
        "expected_recall": made.expected_recall._asdict(),
        "model": {
            "name": model.name,
            "right": model.right,
            "fitted_on": model.fitted_on,
            "axes": plan.axes,
        },
        "notes": list(made.notes),
        "most_doubtful": made.most_doubtful,
    }


def _seam_note(plan: DoubtPlan) -> tuple[str, ...]:
    """What the seam certificate says against all objects together; nothing where there is none."""
    prediction = plan.prediction
    place = sibling(prediction, "-certificate.json") if prediction else ""
    if not place or not exists(place):
        return ()
    try:
        passed = json.loads(read_file(place)).get("passed")
    except (ValueError, AttributeError):
        return (f"{place} is damaged: what it says of seams is not known",)
    if passed is False:
        return ("the seam certificate did not pass: objects at borders of tiles may be cut",)
    return ()


def plan_from(request: Request) -> DoubtPlan:
    """The plan for what a command, a function or a run asks for."""
    options = request.table(DoubtOptions)
    votes, notes = _votes_for(request, options)
    prediction = votes or request.given("prediction")
    return plan_doubt(
        request.volume("labels"),
        request.out(),
        options,
        votes=votes,
        prediction=request.path("prediction") if request.inputs.get("prediction") else "",
        model=model_that_predicted(prediction) if prediction else "",
        notes=notes,
    )


def _votes_for(
    request: Request, options: DoubtOptions
) -> tuple[VolumeInfo | None, tuple[str, ...]]:
    """Votes, else the probability, of the class whose objects are judged; and why there is none."""
    given = request.given("votes") or request.given("prediction")
    if given is None:
        return None, ()
    name = options.object_class
    if request.run and request.run.workflow.interior is not None:
        return None, ("the prediction is of envelopes, the objects are what they enclose",)
    classes = voted_classes(given) if holds_votes(given) else given.channels
    if request.run and classes:
        name = name or request.run.workflow.label.object_class
        if not name:
            return None, ("objects of several classes were labelled at once",)
    if len(given.channels) < 2 and not name:
        return given, ()
    return answers_of_class(given, name, option="[doubt] object_class"), ()

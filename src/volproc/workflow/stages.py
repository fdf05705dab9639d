"""The stages of a run, in order: when each is there, how it is planned, how it is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from volproc.config import Workflow
from volproc.engine.progress import Advancing
from volproc.engine.run import Runner
from volproc.errors import ConfigError
from volproc.stages.annotate.stage import run_annotate
from volproc.stages.crowd.stage import run_crowd
from volproc.stages.evaluate.stage import run_evaluate
from volproc.stages.filter.stage import run_filter
from volproc.stages.ingest.stage import run_ingest
from volproc.stages.interior.stage import run_interior
from volproc.stages.label.stage import run_label
from volproc.stages.measure.stage import run_measure
from volproc.stages.predict.stage import run_predict
from volproc.stages.report.stage import ReportPlan, run_report
from volproc.stages.subjects.stage import run_subjects
from volproc.stages.train.stage import TrainPlan, run_train
from volproc.workflow.filled import source_is_volume

P = TypeVar("P")
AnyStage: TypeAlias = "StageOfRun[Any]"


@dataclass(frozen=True)
class StageOfRun(Generic[P]):
    """One stage, planned by the method of `Plans` of its name; `there`: a workflow has it."""

    name: str
    run: Callable[[P, Runner], object]
    there: Callable[[Workflow], bool] = lambda workflow: True


def _train(plan: TrainPlan, runner: Runner) -> None:
    """In this process, which has all cores and the GPU; the workers wait."""
    for note in plan.notes:
        runner.note(note)
    with Advancing(plan.name, runner.watchers, voxels=plan.blocks[0].core.size) as tell:
        run_train(
            plan,
            watch=lambda done: tell(done["step"], done["steps"], f"loss {done['loss']:.3f}"),
        )


def _report(plan: ReportPlan, runner: Runner) -> None:
    run_report(plan)


STAGES: tuple[StageOfRun[Any], ...] = (
    StageOfRun("ingest", run_ingest, lambda w: not source_is_volume(w)),
    StageOfRun("filter", run_filter, lambda w: w.filter is not None),
    StageOfRun("subjects", run_subjects, lambda w: w.subjects is not None),
    StageOfRun("crowd", run_crowd, lambda w: w.crowd is not None),
    StageOfRun("annotate", run_annotate, lambda w: w.annotate is not None),
    StageOfRun("train", _train, lambda w: w.train is not None),
    StageOfRun("predict", run_predict),
    StageOfRun("interior", run_interior, lambda w: w.interior is not None),
    StageOfRun("label", run_label),
    StageOfRun("measure", run_measure, lambda w: w.measure is not None),
    StageOfRun("evaluate", run_evaluate, lambda w: bool(w.evaluate.truth)),
    StageOfRun("report", _report),
)


def chosen(workflow: Workflow, names: Sequence[str]) -> tuple[AnyStage, ...]:
    """The stages a workflow has, in order, or those of them that are named.

    ConfigError for a name that is no stage, or one that the workflow lacks; only `ingest` may be
    named where the image is there already.
    """
    known = [stage.name for stage in STAGES]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ConfigError(f"unknown stage {unknown[0]!r}; stages are {', '.join(known)}")
    there = tuple(stage for stage in STAGES if stage.there(workflow))
    absent = sorted(set(names) - {"ingest"} - {stage.name for stage in there})
    if absent:
        raise ConfigError(
            f"the workflow has no stage {absent[0]!r}: its table [{absent[0]}] is missing, or "
            "names nothing to work on"
        )
    return tuple(stage for stage in there if not names or stage.name in names)

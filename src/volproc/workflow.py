"""Which stages, in which order, on which files of the run's folder; and `plan`, which stops before.

A run's folder holds image.zarr, prediction.zarr, votes.zarr, objects.zarr, objects.csv,
scores.json and report.html, the options (workflow.json), the log (log.jsonl) and the record of
what is done (ledger/).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from volproc.config import STAGES, Stage, Workflow, parsed
from volproc.engine.clusters.choose import engine_of
from volproc.engine.ledger import digest
from volproc.engine.progress import JsonLines, Watcher
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import ConfigError
from volproc.stages.evaluate.stage import EvaluatePlan, plan_evaluate, run_evaluate
from volproc.stages.ingest.stage import IngestPlan, plan_ingest, run_ingest
from volproc.stages.label.stage import LabelPlan, plan_label, run_label
from volproc.stages.predict.stage import PredictPlan, plan_predict, run_predict
from volproc.stages.report.stage import ReportInputs, plan_report, run_report
from volproc.volume.access import exists
from volproc.volume.describe import read_info
from volproc.volume.files import write_file
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume, open_volume

SETTINGS = "workflow.json"
"""The options of a run, kept in its folder: `volproc report RUN/` reads them."""


@dataclass(frozen=True)
class Run:
    """A workflow and where its files are. Every stage is planned from what lies on disk by then."""

    workflow: Workflow

    @cached_property
    def folder(self) -> Path:
        """The run's folder, on this machine; ConfigError for a URL."""
        folder = self.workflow.run.folder
        if "://" in folder:
            raise ConfigError(
                f"[run] folder = {folder}: a run's folder lies on this machine; give a path, or "
                "run the stages one by one, which take URLs"
            )
        return Path(folder)

    def path(self, name: str) -> str:
        """A file or volume of the run."""
        return str(self.folder / name)

    @property
    def source_is_volume(self) -> bool:
        """Whether the source is an OME-Zarr volume already, so that nothing is ingested."""
        source = self.workflow.require_source().rstrip("/")
        return source.endswith(".zarr") or ".zarr/" in source

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages this workflow has, in order."""
        without: set[str] = set()
        if self.source_is_volume:
            without.add("ingest")
        if not self.workflow.evaluate.truth:
            without.add("evaluate")
        return tuple(s for s in STAGES if s not in without)

    def ingest(self) -> IngestPlan:
        """The plan that makes the image."""
        options, out = self.workflow, self.path("image.zarr")
        return plan_ingest(options.run.source, out, options.ingest, options.fetch)

    def predict(self) -> PredictPlan:
        """The plan that makes the prediction, and the votes."""
        image = self._image()
        return plan_predict(
            image,
            self.path("prediction.zarr"),
            self.workflow.predict,
            votes_url=self.path("votes.zarr") if self.workflow.predict.votes else None,
            identity=Volume(image).identity,
        )

    def label(self) -> LabelPlan:
        """The plan that makes the objects."""
        mask = self._made("prediction.zarr") or self.predict().output
        return plan_label(
            mask,
            self.path("objects.zarr"),
            self.workflow.label,
            native=self._image() if self.workflow.label.native else None,
            identity=Volume(mask).identity,
        )

    def evaluate(self) -> EvaluatePlan:
        """The plan that scores the fused prediction, each axis, and each fusion of them."""
        predicted = None
        results = {}
        for name, file in (("prediction", "prediction.zarr"), ("votes", "votes.zarr")):
            info = self._made(file)
            if info is None:
                predicted = predicted or self.predict()
                info = predicted.output if name == "prediction" else predicted.votes
            if info is not None and (name == "prediction" or self.workflow.predict.votes):
                results[name] = info
        truth = open_volume(self.workflow.evaluate.truth).info
        identities = [Volume(info).identity for info in (truth, *results.values())]
        return plan_evaluate(
            results,
            truth,
            self.workflow.evaluate,
            url=self.path("scores.json"),
            identity=digest(identities),
        )

    def report_inputs(self) -> ReportInputs:
        """What the report is made from: of the parts of a run, those that are there."""

        def there(name: str) -> str | None:
            return self.path(name) if exists(self.path(name)) else None

        return ReportInputs(
            image=self._image().url,
            prediction=there("prediction.zarr"),
            votes=there("votes.zarr") if self.workflow.predict.votes else None,
            objects=there("objects.zarr"),
            table=there("objects.csv"),
            scores=there("scores.json") if self.workflow.evaluate.truth else None,
            log=there("log.jsonl"),
            settings=self.workflow.model_dump(mode="json"),
            title=self.workflow.report.title or Path(self.workflow.run.source).name,
        )

    def _image(self) -> VolumeInfo:
        if self.source_is_volume:
            return open_volume(
                self.workflow.run.source, voxel_nm=self.workflow.predict.voxel_nm
            ).info
        return self._made("image.zarr") or self.ingest().output

    def _made(self, name: str) -> VolumeInfo | None:
        """A volume of the run if it is finished; else its maker's plan tells what it will be."""
        if not exists(self.path(name)):
            return None
        info = read_info(self.path(name))
        return info if info.made_by.get("finished") else None


def run(
    workflow: Workflow, *, stages: Sequence[str] = (), watchers: Sequence[Watcher] = ()
) -> Path:
    """Run a workflow, or go on with it; returns the path of the report.

    `stages` limits it to some. What is recorded as done, from the same inputs and options, is
    left alone. VolprocError, one line, when something is missing or wrong.
    """
    this = Run(workflow)
    wanted = _chosen(this, stages)
    _begin_folder(this)
    log = JsonLines(this.folder / "log.jsonl")
    with engine_of(workflow.cluster) as engine:
        runner = Runner(engine, this.folder / "ledger", (*watchers, log))
        for stage in wanted:
            _run_stage(this, stage, runner)
    return this.folder / "report.html"


def _begin_folder(this: Run) -> None:
    """The run's folder with its options in it, and without half files of a killed run."""
    write_file(this.path(SETTINGS), this.workflow.model_dump_json(indent=1).encode())
    for pattern in ("*.partial", "*.tables/*.partial"):
        for path in this.folder.glob(pattern):
            path.unlink(missing_ok=True)


def plan(workflow: Workflow, *, stages: Sequence[str] = ()) -> list[tuple[str, tuple[Step, ...]]]:
    """The steps of every stage with blocks, bytes, memory and arithmetic; nothing is run."""
    this = Run(workflow)
    planned: list[tuple[str, tuple[Step, ...]]] = []
    for stage in _chosen(this, stages):
        if stage != "report":
            steps: tuple[Step, ...] = getattr(this, stage)().steps
            planned.append((stage, steps))
    return planned


def saved(folder: Path) -> Workflow:
    """The options that a run left in its folder; ConfigError if there are none."""
    settings = folder / SETTINGS
    if not settings.exists():
        raise ConfigError(
            f"{folder} is not a run's folder: it has no {SETTINGS}; see `volproc run`"
        )
    return parsed(Workflow, json.loads(settings.read_text()), where=str(settings))


NEEDS: dict[Stage, str] = {
    "predict": "image.zarr",
    "label": "prediction.zarr",
    "evaluate": "prediction.zarr",
}
"""What a stage reads of the stages before it; `report` looks for itself."""


def _run_stage(this: Run, stage: Stage, runner: Runner) -> None:
    if stage in NEEDS and not (stage == "predict" and this.source_is_volume):
        open_volume(this.path(NEEDS[stage]))  # an unfinished one would read as background
    if stage == "ingest":
        run_ingest(this.ingest(), runner)
    elif stage == "predict":
        run_predict(this.predict(), runner)
    elif stage == "label":
        run_label(this.label(), runner)
    elif stage == "evaluate":
        run_evaluate(this.evaluate(), runner)
    else:
        inputs = this.report_inputs()
        out = this.folder / "report.html"
        run_report(plan_report(inputs, out, this.workflow.report))


def _chosen(this: Run, stages: Sequence[str]) -> tuple[Stage, ...]:
    unknown = sorted(set(stages) - set(STAGES))
    if unknown:
        raise ConfigError(f"unknown stage {unknown[0]!r}; stages are {', '.join(STAGES)}")
    return tuple(stage for stage in this.stages if not stages or stage in stages)


def rates(log: Path) -> dict[str, float]:
    """Voxels per second of every step that the log of an earlier run tells of."""
    done: dict[str, list[float]] = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        try:
            event: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:  # a full disk cut it short
            continue
        if event["event"] == "StepFinished" and event["voxels"]:
            total = done.setdefault(event["step"], [0.0, 0.0])
            total[0] += event["voxels"]
            total[1] += event["seconds"]
    return {step: voxels / seconds for step, (voxels, seconds) in done.items() if seconds}

"""What of a run the page is made from, which files it leads to, and what the run could have had."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from shlex import quote
from typing import Any
from urllib.parse import quote as quoted

from volproc.errors import VolprocError
from volproc.faults import MALFORMED
from volproc.location import name_of
from volproc.stages.description import Request
from volproc.stages.report.options import ReportOptions
from volproc.stages.report.report_page import Page
from volproc.stages.report.run_state import (
    FINISHED,
    UNFINISHED,
    FileLink,
    RunState,
    StageState,
)
from volproc.volume.access import exists
from volproc.volume.file_io import read_file

FILES = {
    "objects.csv": "the objects: volumes, positions, classes",
    "edited.csv": "the objects after the edits by hand",
    "measure/objects.csv": "the same with surfaces, sphericity and more",
    "doubt.json": "what the run expects of itself",
    "scores.html": "the page of scores, with the worst places",
    "scores.json": "all scores",
    "scores.csv": "all scores as a table",
    "prediction-certificate.json": "the seam certificate",
    "votes-regions.csv": "regions to draw next",
    "report.json": "every number of this page, for programs",
    "workflow.json": "the options",
    "log.jsonl": "what happened",
}
"""In a run's folder: what the page leads to, if it is there."""

STALE = "predict", "label", "fix", "doubt", "evaluate"
"""Stages whose results the page shows, unless they are stale."""


@dataclass(frozen=True)
class ReportInputs:
    """What a run left: paths or URLs. Anything may be missing.

    `settings` are the effective options, a table per stage; `title` is used where the options
    state none.
    """

    image: str | None
    prediction: str | None = None
    votes: str | None = None
    objects: str | None = None
    table: str | None = None
    measured: str | None = None
    doubt: str | None = None
    scores: str | None = None
    log: str | None = None
    certificate: str | None = None
    regions: str | None = None
    settings: Mapping[str, Any] | None = None
    stale: tuple[str, ...] = ()
    """Parts that were made from something else than what is there now, and why: left out."""
    state: RunState = FINISHED
    links: tuple[FileLink, ...] = ()
    view: str = ""
    """The command that shows the run in a viewer."""
    title: str = ""


def inputs_of(request: Request) -> ReportInputs:
    """Those parts of a run that are there, finished, and not stale."""
    run = request.run
    state = RunState(tuple(_states(run, request)))
    left = {one.name for one in state.left}
    mended = run.workflow.has(request.stages["fix"])
    objects, labelled = ("edited", "fix") if mended else ("objects", "label")
    asked = [name for name in STALE if name in request.stages]
    stale = {name: run.stale(name) for name in asked}
    stale = {name: why for name, why in stale.items() if why and name not in left}
    if "label" not in {*left, *stale} and run.claim("label").edited:
        stale["table"] = "the objects were edited since"

    def there(name: str, *stages: str) -> str | None:
        old = {*stale, *left}.intersection(stages)
        return None if old else run.path(name)  # what is not there, its plan leaves out

    predict, evaluate = run.workflow.predict, run.workflow.evaluate
    return ReportInputs(
        image=None if left & {request.origins.get("image")} else request.volume("image").url,
        prediction=there("prediction.zarr", "predict"),
        votes=there("votes.zarr", "predict") if predict.votes else None,
        objects=there(f"{objects}.zarr", "label", labelled),
        table=there(f"{objects}.csv", "label", labelled, "table"),
        measured=there("measure/objects.csv", "label", labelled, "table", "measure"),
        doubt=there("doubt.json", "label", labelled, "table", "doubt"),
        scores=there("scores.json", "evaluate") if evaluate.ground_truth else None,
        log=there("log.jsonl"),
        certificate=there("prediction-certificate.json", "predict"),
        regions=there("votes-regions.csv", "predict") if predict.regions_um else None,
        settings=run.workflow.model_dump(mode="json"),
        stale=tuple(f"{name}: {why}" for name, why in stale.items()),
        state=state,
        links=tuple(_links(run)),
        view=f"volproc view {quote(run.path('').rstrip('/'))}",
        title=request.table(ReportOptions).title or name_of(run.workflow.run.source),
    )


def _states(run: Any, request: Request) -> Iterator[StageState]:
    """Where the stages of the run stand, in their order."""
    begun, known = False, _tables(run)
    for name, stage in request.stages.items():
        if name == "report" or stage.in_run == "never" or not run.workflow.has(stage):
            continue
        state = _state(run, name, waits=begun)
        if state.state in ("absent", "waits") and known and name not in known:
            state = StageState(name, "newer")
        begun = begun or state.state in UNFINISHED
        yield state


def _tables(run: Any) -> set[str]:
    """Tables of the options that the run left: every stage that the volproc which made it had."""
    place = run.path("workflow.json")
    with suppress(*MALFORMED, VolprocError):
        return set(json.loads(read_file(place))) if exists(place) else set()
    return set()


def _state(run: Any, name: str, *, waits: bool) -> StageState:
    """Where a stage stands; what it was made from may be gone, or, if it `waits`, not there yet."""
    try:
        claim = run.claim(name)
    except VolprocError as error:
        return StageState(name, "waits" if waits else "unknown", str(error))
    return StageState(name, claim.state, str(claim.why) if claim.state == "other" else "")


def _links(run: Any) -> Iterator[FileLink]:
    """The files that are there, as the page sees them from the run's folder."""
    for name, what in FILES.items():
        if name == "report.json" or exists(run.path(name)):
            yield FileLink(quoted(name), name, what)


def hints(page: Page, inputs: ReportInputs) -> tuple[str, ...]:
    """What would add to the page, a line each."""
    return tuple(_hints(page, inputs))


def _hints(page: Page, inputs: ReportInputs) -> Iterator[str]:
    settings: Mapping[str, Any] = inputs.settings or {}
    if page.objects and page.objects.total:
        if "doubt" in settings and not page.objects.most_doubtful:
            yield "a run of the same file again, with its stage doubt, ranks the objects"
        if page.objects.sphericities is None and "measure" in settings:
            yield "[measure] in the workflow file adds surfaces and sphericity of the objects"
    if page.scores is None and "evaluate" in settings:
        yield "[evaluate] ground_truth = TRUTH.zarr adds scores, page = true a page of them"
    elif page.scores and not any(one.name == "scores.html" for one in page.links):
        yield "[evaluate] page = true adds a page of scores with pictures of the worst places"
    if page.figures and page.figures.model and not page.model:
        yield f"{page.figures.model} has no card that says what it is for and where it fails"

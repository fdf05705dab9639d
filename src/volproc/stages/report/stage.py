"""Plan and run of `report`: what a run left on disk in, one HTML page and its twin in JSON out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from volproc.engine.records import record_log
from volproc.engine.run import Runner
from volproc.errors import VolumeError
from volproc.location import name_of
from volproc.stages.description import Request
from volproc.stages.report.axis_agreement import Agreement, level_to_count, measure_agreement
from volproc.stages.report.gallery import Gallery, gallery_of, views
from volproc.stages.report.key_figures import card_facts, figures
from volproc.stages.report.object_listing import Objects, read_objects, with_measured
from volproc.stages.report.object_pictures import turntable
from volproc.stages.report.object_rows import object_table
from volproc.stages.report.options import ReportOptions
from volproc.stages.report.page_twin import to_json, twin, twin_of
from volproc.stages.report.prediction_files import read_certificate, read_regions
from volproc.stages.report.report_page import Page, render
from volproc.stages.report.run_files import ReportInputs, hints, inputs_of
from volproc.stages.report.run_state import RunState, read_doubt
from volproc.stages.report.step_times import History, history_of
from volproc.volume.access import exists
from volproc.volume.file_io import read_file, write_file
from volproc.volume.metadata import itemsize
from volproc.volume.store import open_volume


@dataclass(frozen=True)
class ReportPlan:
    """Everything decided about a report before a voxel is read. `absent` names missing parts."""

    inputs: ReportInputs
    out: Path | str
    options: ReportOptions
    gallery: Gallery | None
    absent: tuple[str, ...]

    @property
    def bytes_read(self) -> int:
        """Raw bytes of the chunks under the pictures of slices, and of the levels counted."""
        return self.gallery.bytes_read + _bytes_counted(self.gallery) if self.gallery else 0


def _bytes_counted(gallery: Gallery) -> int:
    if gallery.votes is None:
        return 0
    info = gallery.votes.info
    level = info.levels[level_to_count(info)]
    labels = itemsize(gallery.objects.info.dtype) if gallery.objects else 0
    classes = len(gallery.answers)
    return prod(level.shape) * (len(info.channels) + classes * labels)


def plan_report(inputs: ReportInputs, out: Path | str, options: ReportOptions) -> ReportPlan:
    """Decide what the page at `out` will show; reads metadata only.

    VolumeError if an image is named and not finished, or a volume covers another space than it.
    """
    parts = {name: getattr(inputs, name) for name in _OPTIONAL}
    there = {name: url for name, url in parts.items() if url and exists(_stored(name, url))}
    volumes = {
        name: open_volume(there[name]) if name in there else None
        for name in ("prediction", "votes", "objects")
    }
    return ReportPlan(
        inputs=inputs,
        out=out,
        options=options,
        gallery=gallery_of(open_volume(inputs.image), **volumes, count=options.slices)
        if inputs.image
        else None,
        absent=(*(_OPTIONAL[name] for name in parts if name not in there), *inputs.stale),
    )


_OPTIONAL = {
    "prediction": "prediction",
    "votes": "votes of the single axes",
    "objects": "objects",
    "table": "table of objects",
    "scores": "scores",
    "log": "times",
}


def run_report(plan: ReportPlan, runner: Runner | None = None) -> Path | str:
    """The page, written whole or not at all, and its twin beside it; the page's path or URL.

    VolumeError where a volume, a table or the scores cannot be read.
    """
    page = page_of(plan)
    write_file(twin_of(str(plan.out)), to_json(twin(page)).encode())
    write_file(str(plan.out), render(page).encode())
    return plan.out


def page_of(plan: ReportPlan) -> Page:
    """All that the page shows."""
    inputs, gallery = plan.inputs, plan.gallery
    history = history_of(record_log(inputs.log).peek() if inputs.log else ())
    certified = gallery.prediction if gallery else None
    page = Page(
        title=plan.options.title or inputs.title or str(inputs.image),
        figures=None,
        views=(),
        vote_axes=(),
        agreements={},
        objects=None,
        scores=_scores(inputs.scores),
        steps=history.steps,
        settings=inputs.settings or {},
        absent=plan.absent,
        state=_state(inputs.state, history),
        doubt=read_doubt(_text(inputs.doubt), name=str(inputs.doubt)),
        links=inputs.links,
        view=inputs.view,
        certificate=read_certificate(
            _text(inputs.certificate), certified, name=str(inputs.certificate)
        ),
        regions=read_regions(_text(inputs.regions), name=str(inputs.regions)),
    )
    page = _pictured(plan, gallery, page) if gallery else page
    return replace(page, hints=hints(page, inputs))


def _pictured(plan: ReportPlan, gallery: Gallery, page: Page) -> Page:
    """The page with what its volumes show."""
    inputs, options = plan.inputs, plan.options
    objects = _objects(inputs)
    agreements = _agreements(gallery, objects)
    shown, shades = views(gallery, objects)
    return replace(
        page,
        figures=figures(gallery, inputs.settings or {}, objects, page.steps),
        views=shown,
        vote_axes=gallery.vote_axes,
        agreements=agreements,
        objects=object_table(
            gallery,
            objects,
            agreements,
            file=name_of(inputs.table or ""),
            count=options.rows,
            doubt=page.doubt,
            shades=shades,
        )
        if objects is not None
        else None,
        turntable=turntable(gallery.objects)
        if gallery.objects and objects and options.in_space
        else (),
        model=card_facts(gallery),
    )


def _state(state: RunState, history: History) -> RunState:
    """The state with why the last run ended early, where something is left to do."""
    return replace(state, failure=history.failure if state.left else "")


def _stored(name: str, url: str) -> str:
    """Where a part lies: the lines of a log at a URL are several objects."""
    return str(record_log(url).place) if name == "log" else url


def _text(url: str | None) -> str:
    """The file's text, empty where there is none."""
    return read_file(url).decode(errors="replace") if url and exists(url) else ""


def _objects(inputs: ReportInputs) -> Objects | None:
    text, measured = _text(inputs.table), _text(inputs.measured)
    if not text:
        return None
    found = read_objects(text.splitlines(), name=str(inputs.table))
    lines = measured.splitlines()
    return with_measured(found, lines, name=str(inputs.measured)) if lines else found


def _agreements(gallery: Gallery, objects: Objects | None) -> dict[str, Agreement]:
    """By class."""
    labels, highest = (gallery.objects, objects.highest) if objects else (None, 0)
    return {
        answer.name: measure_agreement(answer.votes, labels, highest=highest)
        for answer in gallery.answers
        if answer.votes
    }


def _scores(url: str | None) -> Mapping[str, Any] | None:
    text = _text(url)
    if not text:
        return None
    try:
        found: dict[str, Any] = json.loads(text)
        return found if found["scores"] else None
    except (ValueError, KeyError, TypeError) as error:
        raise VolumeError(
            f"{url} does not hold scores of `volproc evaluate`; run that again or remove the file"
        ) from error


def plan_from(request: Request) -> ReportPlan:
    """The plan for what a command, a function or a run asks for."""
    return plan_report(inputs_of(request), request.out(), request.table(ReportOptions))

"""Plan and run of `report`: what a run left on disk in, one HTML page out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from volproc.engine.records import record_log
from volproc.engine.run import Runner
from volproc.errors import VolumeError
from volproc.location import name_of
from volproc.stages.description import Request
from volproc.stages.pictures import hex_colour
from volproc.stages.report.axis_agreement import Agreement, level_to_count, measure_agreement
from volproc.stages.report.gallery import Gallery, gallery_of, views
from volproc.stages.report.key_figures import card_facts, facts
from volproc.stages.report.object_listing import (
    Objects,
    histogram,
    read_objects,
)
from volproc.stages.report.options import ReportOptions
from volproc.stages.report.prediction_files import (
    read_certificate,
    read_regions,
)
from volproc.stages.report.report_page import (
    ObjectRow,
    ObjectTable,
    Page,
    render,
    toml_text,
)
from volproc.stages.report.step_times import times_of
from volproc.volume.access import exists
from volproc.volume.file_io import read_file, write_file
from volproc.volume.metadata import itemsize
from volproc.volume.store import open_volume

MAX_ROWS = 1000
LOOK_FIRST = 5
"""How many of the least agreed objects are named."""


@dataclass(frozen=True)
class ReportInputs:
    """What a run left: paths or URLs. Anything but the image may be missing.

    `settings` are the effective options, a table per stage; `title` is used where the options
    state none.
    """

    image: str
    prediction: str | None = None
    votes: str | None = None
    objects: str | None = None
    table: str | None = None
    scores: str | None = None
    log: str | None = None
    certificate: str | None = None
    regions: str | None = None
    settings: Mapping[str, Any] | None = None
    stale: tuple[str, ...] = ()
    """Parts that were made from something else than what is there now, and why: left out."""
    title: str = ""


@dataclass(frozen=True)
class ReportPlan:
    """Everything decided about a report before a voxel is read. `absent` names missing parts."""

    inputs: ReportInputs
    out: Path | str
    options: ReportOptions
    gallery: Gallery
    absent: tuple[str, ...]

    @property
    def bytes_read(self) -> int:
        """Raw bytes of the chunks under the pictures, and of the levels that are counted."""
        return self.gallery.bytes_read + self._bytes_counted

    @property
    def _bytes_counted(self) -> int:
        if self.gallery.votes is None:
            return 0
        info = self.gallery.votes.info
        level = info.levels[level_to_count(info)]
        objects = self.gallery.objects
        labels = itemsize(objects.info.dtype) if objects else 0
        classes = len(self.gallery.answers)
        return prod(level.shape) * (len(info.channels) + classes * labels)


def plan_report(inputs: ReportInputs, out: Path | str, options: ReportOptions) -> ReportPlan:
    """Decide what the page at `out` will show; reads metadata only.

    VolumeError if there is no finished image, or a volume covers another space than the image.
    """
    parts = {name: getattr(inputs, name) for name in _OPTIONAL}
    there = {name: url for name, url in parts.items() if url and exists(_stored(name, url))}
    image = open_volume(inputs.image)
    volumes = {
        name: open_volume(there[name]) if name in there else None
        for name in ("prediction", "votes", "objects")
    }
    return ReportPlan(
        inputs=inputs,
        out=out,
        options=options,
        gallery=gallery_of(image, **volumes, count=options.slices),
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
    """The page, written whole or not at all; its path or URL.

    VolumeError where a volume, the table or the scores cannot be read.
    """
    inputs, gallery = plan.inputs, plan.gallery
    objects = _objects(inputs.table)
    agreements = _agreements(gallery, objects)
    steps = times_of(record_log(inputs.log).peek() if inputs.log else ())
    page = Page(
        title=plan.options.title or inputs.title or gallery.image.info.url,
        facts=facts(gallery, inputs.settings or {}, objects, steps),
        views=views(gallery, objects),
        vote_axes=gallery.vote_axes,
        agreements=agreements,
        objects=_table(gallery, objects, agreements, name_of(inputs.table or "")),
        model=card_facts(gallery),
        scores=_scores(inputs.scores),
        steps=steps,
        settings=toml_text(inputs.settings or {}),
        absent=plan.absent,
        certificate=read_certificate(
            _text(inputs.certificate), gallery.prediction, name=str(inputs.certificate)
        ),
        regions=read_regions(_text(inputs.regions), name=str(inputs.regions)),
    )
    write_file(str(plan.out), render(page).encode())
    return plan.out


def _stored(name: str, url: str) -> str:
    """Where a part lies: the lines of a log at a URL are several objects."""
    return str(record_log(url).place) if name == "log" else url


def _text(url: str | None) -> str:
    """The file's text, empty where there is none."""
    return read_file(url).decode(errors="replace") if url and exists(url) else ""


def _objects(table: str | None) -> Objects | None:
    text = _text(table)
    return read_objects(text.splitlines(), name=str(table)) if text else None


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


def _table(
    gallery: Gallery, objects: Objects | None, agreements: Mapping[str, Agreement], file: str
) -> ObjectTable | None:
    if objects is None:
        return None
    labels = gallery.objects.info.provenance if gallery.objects else {}
    all_of = labels.get("recipe", {}).get("options", {}).get("object_class", "")
    rows = tuple(
        _row(objects, n, objects.classes[n] if objects.classes else all_of, agreements)
        for n in objects.largest(MAX_ROWS).tolist()
    )
    known = [row for row in rows if row.agreement is not None]
    return ObjectTable(
        rows=rows,
        total=len(objects),
        file=file,
        histogram=histogram(objects.volume_um3),
        volume_um3=float(objects.volume_um3.sum()),
        look_first=tuple(sorted(known, key=lambda row: row.agreement or 0.0)[:LOOK_FIRST]),
    )


def _row(objects: Objects, n: int, of_class: str, agreements: Mapping[str, Agreement]) -> ObjectRow:
    number, agreement = int(objects.ids[n]), agreements.get(of_class)
    share = float(agreement.objects[number]) if agreement and number else float("nan")
    return ObjectRow(
        id=number,
        colour=hex_colour(number),
        volume=float(objects.volume_um3[n]),
        centroid=tuple(objects.centroid_um[n].tolist()),
        size=tuple(objects.size_um[n].tolist()),
        border=bool(objects.touches_border[n]),
        agreement=None if np.isnan(share) else share,
        of_class=of_class,
    )


def plan_from(request: Request) -> ReportPlan:
    """The plan for what a command, a function or a run asks for."""
    return plan_report(_left(request), request.out(), request.table(ReportOptions))


def _left(request: Request) -> ReportInputs:
    """Those parts of a run that are there, and not stale."""
    run = request.run
    objects = "fix" if run.workflow.has(request.stages["fix"]) else "label"
    volume = "edited" if objects == "fix" else "objects"
    stale = {name: run.stale(name) for name in ("predict", "label", "fix", "evaluate")}
    if not stale["label"] and run.claim("label").edited:
        stale["table"] = "the objects were edited since"

    def there(name: str, *stages: str) -> str | None:
        old = any(stale.get(stage) for stage in stages)
        return None if old else run.path(name)  # what is not there, its plan leaves out

    predict, evaluate = run.workflow.predict, run.workflow.evaluate
    return ReportInputs(
        image=request.volume("image").url,
        prediction=there("prediction.zarr", "predict"),
        votes=there("votes.zarr", "predict") if predict.votes else None,
        objects=there(f"{volume}.zarr", "label", objects),
        table=there(f"{volume}.csv", "label", objects, "table"),
        scores=there("scores.json", "evaluate") if evaluate.ground_truth else None,
        log=there("log.jsonl"),
        certificate=there("prediction-certificate.json", "predict"),
        regions=there("votes-regions.csv", "predict") if predict.regions_um else None,
        settings=run.workflow.model_dump(mode="json"),
        stale=tuple(f"{name}: {why}" for name, why in stale.items() if why),
        title=request.table(ReportOptions).title or name_of(run.workflow.run.source),
    )

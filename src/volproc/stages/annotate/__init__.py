"""Volunteers' drawings in, labels out, and a page that says how good they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from volproc.errors import ConfigError
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.description import Input, Output, Stage, lines_of_volume


def _resolve(workflow: Any, place: Callable[[str], str]) -> AnnotateOptions:
    options: AnnotateOptions = workflow.annotate
    if not options.export:
        if not workflow.crowd:
            raise ConfigError(
                "[annotate] export is missing; name the classification export, or add a [crowd] "
                "table that simulates one"
            )
        options = options.model_copy(update={"export": place("crowd.csv")})
    # a simulated crowd saw the truth, not the subjects
    if workflow.subjects and not workflow.crowd and not options.manifest:
        return options.model_copy(update={"manifest": place("subjects/manifest.csv")})
    return options


def _lines(made: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    """What became of an export, and where to look."""
    found, written = made.gathered.summary, made.written
    yield from lines_of_volume(made.volumes[0], tables)
    yield (
        f"{found.rows:,} rows, {found.votes:,} votes on {found.slices:,} slices by "
        f"{found.volunteers:,} volunteers"
    )
    unused, left_out = (sum(counts.values()) for counts in (found.rejected, found.left_out))
    yield f"{unused:,} rows could not be used, {left_out:,} were left out: {written.rejected}"
    for name, scores in made.scores.items():
        distance = "" if scores.masd_nm is None else f", {scores.masd_nm:.1f} nm off (MASD)"
        dice = "nothing to find" if scores.dice is None else f"Dice {scores.dice:.4f}"
        yield f"{name}: {dice}{distance}"
    yield f"quality: {written.page}"


STAGE = Stage(
    package=__name__,
    name="annotate",
    help="Turn volunteers' drawings into labels, with a page that says how good they are.",
    options=AnnotateOptions,
    inputs=(
        Input(
            "export",
            "The classification export of Zooniverse.",
            ("crowd.out",),
            kind="file",
            metavar="CLASSIFICATIONS.csv",
        ),
        Input(
            "image",
            "What they drew on; the word none (in Python None) where it is not at hand: then "
            "regions are laid out one after the other along z.",
            ("ingest.out", "run.source"),
            metavar="IMAGE.zarr",
            nullable=True,
        ),
    ),
    outputs=(Output("out", "The labels.", "annotations.zarr", metavar="LABELS.zarr"),),
    after=("subjects",),
    resolve=_resolve,
    lines=_lines,
    returns="volproc.stages.annotate.stage.AnnotateResult",
    about_result="Labels, envelope, agreement, what to ignore, scores, and a quality page.",
)

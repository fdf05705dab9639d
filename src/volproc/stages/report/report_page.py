"""The page itself: what it shows, as plain values, and the template that lays it out."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from volproc import __version__
from volproc.stages import webpage
from volproc.stages.report.axis_agreement import Agreement
from volproc.stages.report.object_listing import Histogram
from volproc.stages.report.prediction_files import DisputedRegion
from volproc.stages.report.step_times import StepTime

PACKAGES = ("torch", "zarr", "dask", "distributed", "numpy")
VOTE_COLOURS = {
    "": "#000000",
    "x": "#ff3b3b",
    "y": "#2fd04f",
    "z": "#4d6bff",
    "xy": "#f5d90a",
    "xz": "#f04be0",
    "yz": "#27d8e0",
    "xyz": "#ffffff",
}
"""Legend and bars; the keys are the axes that say yes, in the order x, y, z."""


@dataclass(frozen=True)
class SlicePanel:
    """A picture: its source as a data URI, and what it shows in words."""

    uri: str
    alt: str
    caption: str


@dataclass(frozen=True)
class SliceRow:
    """One slice: the image with outlines, and beside it the votes if there are any."""

    index: int
    of: int
    at_um: float
    panels: tuple[SlicePanel, ...]


@dataclass(frozen=True)
class AxisView:
    """All slices along one axis."""

    axis: str
    down: str
    across: str
    width: int
    height: int
    pixel_nm: float
    bar_um: float
    bar_share: float
    rows: tuple[SliceRow, ...]


@dataclass(frozen=True)
class ObjectRow:
    """One object; lengths in um."""

    id: int
    colour: str
    volume: float
    centroid: tuple[float, float, float]
    size: tuple[float, float, float]
    border: bool
    agreement: float | None
    of_class: str = ""


@dataclass(frozen=True)
class ObjectTable:
    """Rows shown, of how many, and where all are."""

    rows: tuple[ObjectRow, ...]
    total: int
    file: str
    histogram: Histogram | None
    volume_um3: float
    look_first: tuple[ObjectRow, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the objects, as far as they are known."""
        return tuple(sorted({row.of_class for row in self.rows if row.of_class}))


@dataclass(frozen=True)
class Page:
    """Everything on the page. None where the run has none of it."""

    title: str
    facts: tuple[tuple[str, str, str], ...]
    views: tuple[AxisView, ...]
    vote_axes: tuple[str, ...]
    agreements: Mapping[str, Agreement]
    """By class; of a single one its name is empty."""
    objects: ObjectTable | None
    scores: Mapping[str, Any] | None
    steps: tuple[StepTime, ...]
    settings: str
    absent: tuple[str, ...]
    model: tuple[tuple[str, str], ...] = ()
    """What the model's card says, by heading."""
    certificate: Mapping[str, Any] | None = None
    regions: tuple[DisputedRegion, ...] = ()
    versions: Mapping[str, str] = field(default_factory=lambda: versions())
    made: str = field(default_factory=lambda: f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}")


def render(page: Page) -> str:
    """The page as HTML, complete in itself: style, script and pictures are inside."""
    return webpage.render(
        "volproc.stages.report", "page.html.j2", page=page, colours=VOTE_COLOURS, curve=curve
    )


def versions() -> dict[str, str]:
    """volproc, Python and the libraries that decide a result."""
    found = {"volproc": __version__, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def toml_text(settings: Mapping[str, Any]) -> str:
    """Options as TOML; those without a value as comments.

    >>> print(toml_text({"label": {"connectivity": 26, "block": None}}), end="")
    [label]
    connectivity = 26
    # block is not set
    """
    plain = {k: v for k, v in settings.items() if not isinstance(v, Mapping)}
    tables = {k: v for k, v in settings.items() if isinstance(v, Mapping)}
    parts = ["".join(_line(key, value) for key, value in plain.items())]
    for name, table in tables.items():
        parts.append(f"[{name}]\n" + "".join(_line(key, value) for key, value in table.items()))
    return "\n".join(part for part in parts if part)


def _line(key: str, value: Any) -> str:
    return f"# {key} is not set\n" if value is None else f"{key} = {_value(value)}\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, default=str, ensure_ascii=False)


def curve(slices: Sequence[Mapping[str, Any]], width: int, top: int, bottom: int) -> str:
    """The `d` of an SVG path through the Dice of each slice, 1 at `top`, 0 at `bottom`.

    Slices without a score leave a gap.

    >>> curve([{"z": 0, "dice": 1.0}, {"z": 1, "dice": None}, {"z": 2, "dice": 0.5}], 100, 0, 20)
    'M0.0 0.0h0 M100.0 10.0h0'
    """
    first = slices[0]["z"]
    across = width / max(1, slices[-1]["z"] - first)
    parts: list[str] = []
    pen = "M"
    for one in slices:
        if one["dice"] is None:
            pen = "M"
            continue
        height = bottom - (bottom - top) * one["dice"]
        # h0 draws a dot, so that a slice between two gaps is seen
        parts.append(f"{pen}{(one['z'] - first) * across:.1f} {height:.1f}" + "h0" * (pen == "M"))
        pen = "L"
    return " ".join(parts)

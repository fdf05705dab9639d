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
from volproc.stages.charts import Axis, line
from volproc.stages.report.axis_agreement import Agreement
from volproc.stages.report.key_figures import Fact, Figures, facts
from volproc.stages.report.object_listing import Distribution
from volproc.stages.report.prediction_files import DisputedRegion
from volproc.stages.report.run_state import FINISHED, Doubt, FileLink, RunState
from volproc.stages.report.slice_views import PICTURE, SAFE_COLOURS, VOTE_COLOURS, AxisView
from volproc.stages.report.step_times import StepTime

PACKAGES = ("torch", "zarr", "dask", "distributed", "numpy")


@dataclass(frozen=True)
class ObjectRow:
    """One object. `pictures` are on its largest sections: one, of doubtful objects one per axis."""

    id: int
    colour: str
    volume_um3: float
    centroid_um: tuple[float, ...]
    size_um: tuple[float, ...]
    touches_border: bool
    all_axes_agree: float | None = None
    of_class: str = ""
    sphericity: float | None = None
    probability_right: float | None = None
    reason: str = ""
    pictures: tuple[str, ...] = field(default=(), metadata=PICTURE)


@dataclass(frozen=True)
class ObjectTable:
    """Rows shown, of how many, and where all are."""

    rows: tuple[ObjectRow, ...]
    total: int
    file: str
    volume_um3: float
    volumes: Distribution | None = None
    sphericities: Distribution | None = None
    look_first: tuple[ObjectRow, ...] = ()
    """Those on which the axes agree least."""
    most_doubtful: tuple[ObjectRow, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the objects, as far as they are known."""
        return tuple(sorted({row.of_class for row in self.rows if row.of_class}))

    def has(self, name: str) -> bool:
        """Whether some row knows a value."""
        return any(getattr(row, name) not in (None, "") for row in self.rows)


@dataclass(frozen=True)
class Page:
    """Everything on the page. None, or empty, where the run has none of it."""

    title: str
    figures: Figures | None
    views: tuple[AxisView, ...]
    vote_axes: tuple[str, ...]
    agreements: Mapping[str, Agreement] = field(metadata=PICTURE)
    """By class; of a single one its name is empty."""
    objects: ObjectTable | None
    scores: Mapping[str, Any] | None
    steps: tuple[StepTime, ...]
    settings: Mapping[str, Any]
    absent: tuple[str, ...]
    state: RunState = FINISHED
    doubt: Doubt | None = None
    turntable: tuple[str, ...] = field(default=(), metadata=PICTURE)
    hints: tuple[str, ...] = ()
    """What would add to the page, a line each."""
    links: tuple[FileLink, ...] = ()
    view: str = ""
    """The command that shows the run in a viewer."""
    model: tuple[tuple[str, str], ...] = ()
    """What the model's card says, by heading."""
    certificate: Mapping[str, Any] | None = None
    regions: tuple[DisputedRegion, ...] = ()
    versions: Mapping[str, str] = field(default_factory=lambda: versions())
    made: str = field(default_factory=lambda: f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}")

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The figures in words."""
        return facts(self.figures) if self.figures else ()


def render(page: Page) -> str:
    """The page as HTML, complete in itself: style, script and pictures are inside."""
    return webpage.render(
        "volproc.stages.report",
        "page.html.j2",
        page=page,
        palettes={"usual": VOTE_COLOURS, "safe": SAFE_COLOURS},
        settings=toml_text(page.settings),
        curve=curve,
        rate=webpage.rate,
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
    across = Axis(slices[0]["z"], slices[-1]["z"], 0, width)
    return line(((one["z"], one["dice"]) for one in slices), x=across, y=Axis(0, 1, bottom, top))

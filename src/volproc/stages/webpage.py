"""A page that is complete in itself: template, style, script and numbers as people read them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from volproc.engine.memory import human

MIN_VOXELS = 16**3
"""Of a block in a volume: no chunk is smaller. Other blocks count objects, or groups of blocks."""


def render(package: str, template: str, **values: Any) -> str:
    """The HTML of a `template` that lies in `package`; what others wrote is escaped.

    The template finds `style` and `script` besides `values`, and the filters short, duration and
    bytes.
    """
    # our own files
    parts = {
        "style": Markup(_text("volproc.stages", "webpage.css")),
        "script": Markup(_text("volproc.stages", "webpage.js")),
    }
    return _environment(package).get_template(template).render(**parts, **values)


def short(value: float | None, digits: int = 3) -> str:
    """A number for people; a dash for none.

    >>> short(1234.5), short(0.12345), short(12.0), short(None)
    ('1,234', '0.123', '12', '–')
    """
    if value is None or value != value:
        return "–"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours.

    >>> duration(3.21), duration(75), duration(239.7), duration(7384)
    ('3.2 s', '1 min 15 s', '4 min 0 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rate(blocks: float, voxels: float, seconds: float) -> str:
    """What was done a second, in a unit that fits; "" if nothing was.

    >>> rate(3, 6_300_000, 2.0), rate(3, 30, 2.0), rate(1, 0, 8.0)
    ('3.15 Mvoxel/s', '1.5 blocks/s', '7.5 blocks/min')
    """
    if not blocks or seconds <= 0:
        return ""
    if voxels >= MIN_VOXELS * blocks:
        found, units = voxels / seconds, ("voxel/s", "kvoxel/s", "Mvoxel/s", "Gvoxel/s")
        power = sum(found >= 1000**n for n in range(1, len(units)))
        return f"{found / 1000**power:.3g} {units[power]}"
    found = blocks / seconds
    return f"{found:.3g} blocks/s" if found >= 1 else f"{60 * found:.3g} blocks/min"


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


@cache
def _environment(package: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _text(package, name)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(short=short, duration=duration, bytes=human)
    return environment

"""A page that is complete in itself: template, style, script and numbers as people read them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from volproc.engine.memory import human


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

    >>> duration(3.21), duration(75), duration(7384)
    ('3.2 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


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

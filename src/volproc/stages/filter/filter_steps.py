"""Operations on grey values in words, such as "median 20" or "destripe 300 length=5um axis=x"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from volproc.config.options import MOST
from volproc.grid.units import nm_per, number_and_unit

Name = Literal["median", "gaussian", "unsharp", "destripe"]

_NAMES = get_args(Name)
_SETTINGS = {"unsharp": ("amount",), "destripe": ("length", "axis")}
_EXPECTED = (
    'expected "median WIDTH", "gaussian SIGMA", "unsharp SIGMA amount=1" or "destripe WIDTH '
    'length=LENGTH axis=y"; lengths are in nm, or have a unit'
)
_WORDS = re.compile(r"\s*(\w+)\s+([^=]*?)((?:\s+\w+\s*=\s*[^\s=]+)*)\s*")
LENGTHS = 10
"""Length over width of the stripes that are removed, where it is not stated."""


@dataclass(frozen=True)
class FilterStep:
    """One operation with its numbers. `size_nm` is a width (median, destripe) or a sigma."""

    name: Name
    size_nm: float
    amount: float = 1.0
    """unsharp: how much of what the Gaussian takes away is added."""
    length_nm: float = 0.0
    """destripe: over how much of its length a stripe is averaged."""
    axis: Literal["y", "x"] = "y"
    """destripe: the axis that stripes run along."""

    def __str__(self) -> str:
        more = {
            "unsharp": f" amount={self.amount:g}",
            "destripe": f" length={self.length_nm:g} axis={self.axis}",
        }
        return f"{self.name} {self.size_nm:g}{more.get(self.name, '')}"


def parse_step(text: str) -> FilterStep:
    """The operation that a text names; ValueError, one line, if it names none."""
    found = _WORDS.fullmatch(text)
    name = next((known for known in _NAMES if found and found[1] == known), None)
    if found is None or name is None:
        raise ValueError(f"filter step {text!r}: no such operation; {_EXPECTED}")
    given = dict(re.findall(r"(\w+)\s*=\s*(\S+)", found[3]))
    unknown = sorted(set(given) - set(_SETTINGS.get(name, ())))
    if unknown:
        raise ValueError(f"filter step {text!r}: {name} has no {unknown[0]!r}; {_EXPECTED}")
    size_nm = _positive(found[2], text, nm=True)
    axis = given.get("axis", "y")
    if axis not in ("y", "x"):
        raise ValueError(f"filter step {text!r}: stripes run along y or x of a slice, not {axis!r}")
    length = given.get("length")
    return FilterStep(
        name,
        size_nm,
        amount=_positive(given.get("amount", "1"), text),
        length_nm=_positive(length, text, nm=True) if length else LENGTHS * size_nm,
        axis="x" if axis == "x" else "y",
    )


def _positive(part: str, text: str, *, nm: bool = False) -> float:
    number, unit = number_and_unit(part) or (0.0, "")
    factor = nm_per(unit) if nm and unit else None
    if (unit and factor is None) or not 0 < number * (factor or 1) <= MOST:
        expected = 'a length above 0, such as "20" (nm) or "0.5um"' if nm else "a number above 0"
        raise ValueError(f"filter step {text!r}: {part.strip()!r} is not {expected}")
    return number * (factor or 1)

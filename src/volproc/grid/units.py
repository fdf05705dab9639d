"""Lengths in nm, whatever word or symbol a file has for their unit.

Known are OME-Zarr's words (UDUNITS-2), the symbols of OME-XML and UCUM, and what programs write
instead: "micron", "µm" with either letter or garbled, plurals, British spelling, capitals.
"""

from __future__ import annotations

import math
import re

import numpy as np

_PREFIXES = {
    "yotta": ("Y", 24),
    "zetta": ("Z", 21),
    "exa": ("E", 18),
    "peta": ("P", 15),
    "tera": ("T", 12),
    "giga": ("G", 9),
    "mega": ("M", 6),
    "kilo": ("k", 3),
    "hecto": ("h", 2),
    "": ("", 0),
    "deci": ("d", -1),
    "centi": ("c", -2),
    "milli": ("m", -3),
    "micro": ("u", -6),
    "nano": ("n", -9),
    "pico": ("p", -12),
    "femto": ("f", -15),
    "atto": ("a", -18),
    "zepto": ("z", -21),
    "yocto": ("y", -24),
}

_SYMBOLS = {f"{letter}m": float(f"1e{9 + power}") for letter, power in _PREFIXES.values()} | {
    "Å": 0.1,  # the letter
    "\u212b": 0.1,  # the Ångström sign
    "Ao": 0.1,  # UCUM
    "in": 2.54e7,
    "[in_i]": 2.54e7,
    "ft": 3.048e8,
    "[ft_i]": 3.048e8,
    "yd": 9.144e8,
    "[yd_i]": 9.144e8,
    "mi": 1.609344e12,
    "[mi_i]": 1.609344e12,
    "thou": 2.54e4,
    "mil": 2.54e4,
}
"""nm in one of each unit, by its symbol, in which capitals count: Mm is no mm."""

_MICRO = ("\u00b5", "\u03bc", "\u00c2\u00b5", "\u00ce\u00bc", "mc", "\\u00b5", "\\u00B5")
"""The micro sign in files: itself, the Greek letter, both read in a wrong encoding, in letters
(UCUM for printing), and as ImageJ escapes it."""

_WORDS = {
    f"{prefix}{metre}": float(f"1e{9 + power}")
    for prefix, (_, power) in _PREFIXES.items()
    for metre in ("meter", "metre")
} | {
    "micron": 1e3,
    "millimicron": 1.0,
    "angstrom": 0.1,
    "ångström": 0.1,
    "ångstrom": 0.1,
    "inch": 2.54e7,
    "inche": 2.54e7,  # the plural, without its s
    "foot": 3.048e8,
    "feet": 3.048e8,
    "yard": 9.144e8,
    "mile": 1.609344e12,
    "parsec": 3.0856775814913674e25,
}
"""nm in one of each unit, by its name in small letters, in the singular."""


def nm_per(unit: object) -> float | None:
    """nm in one `unit`; None for what is no unit of length that is known, such as "pixel".

    >>> nm_per("micron"), nm_per("Nanometers"), nm_per("pixel"), nm_per(None)
    (1000.0, 1.0, None, None)
    """
    if not isinstance(unit, str):
        return None
    name = unit.strip().strip("\0").strip()
    for micro in _MICRO:
        name = f"u{name[len(micro) :]}" if name == f"{micro}m" else name
    small = name.lower()
    word = small[:-1] if small.endswith("s") else small
    tables = ((_SYMBOLS, name), (_WORDS, small), (_WORDS, word), (_SYMBOLS, small))
    return next((table[key] for table, key in tables if key in table), None)


def in_nm(size: object, unit: object) -> float | None:
    """`size` of a voxel in nm; None if it is no positive number or the unit is not a length.

    >>> in_nm(0.01, "µm"), in_nm(1, "1/nm"), in_nm(0, "nm")
    (10.0, None, None)
    """
    factor = nm_per(unit)
    if factor is None or not isinstance(size, int | float) or not 0 < size < math.inf:
        return None
    return float(size) * factor


def typed(size: np.number) -> float:
    """The decimal number that a float32 of a file was typed as.

    >>> float(np.float32(0.01)), typed(np.float32(0.01))
    (0.009999999776482582, 0.01)
    """
    return float(str(size))


def number_and_unit(text: str) -> tuple[float, str] | None:
    """A finite number and the unit behind it, "" if there is none; None for any other text.

    >>> number_and_unit("1.5 um"), number_and_unit("-20"), number_and_unit("wide")
    ((1.5, 'um'), (-20.0, ''), None)
    """
    found = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(\D*)", text.strip())
    try:
        number = float(found[1]) if found else math.inf
    except ValueError:  # such as 1.2.3
        return None
    return (number, found[2]) if found and math.isfinite(number) else None

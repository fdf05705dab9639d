"""Lengths as microscope files name them."""

from __future__ import annotations

import math

import numpy as np

NM_PER_UNIT = {
    "pm": 1e-3,
    "å": 0.1,
    "angstrom": 0.1,
    "nm": 1.0,
    "nanometer": 1.0,
    "µm": 1e3,  # the micro sign
    "μm": 1e3,  # the Greek letter
    "um": 1e3,
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
}
"""nm in one of each unit, by its name in small letters."""


def in_nm(size: object, unit: str) -> float | None:
    """`size` of a voxel in nm; None if it is no positive number or the unit is not a length.

    >>> in_nm(0.01, "µm"), in_nm(1, "1/nm"), in_nm(0, "nm")
    (10.0, None, None)
    """
    factor = NM_PER_UNIT.get(unit.strip().lower())
    if factor is None or not isinstance(size, int | float) or not 0 < size < math.inf:
        return None
    return float(size) * factor


def typed(size: np.number) -> float:
    """The decimal number that a float32 of a file was typed as.

    >>> float(np.float32(0.01)), typed(np.float32(0.01))
    (0.009999999776482582, 0.01)
    """
    return float(str(size))

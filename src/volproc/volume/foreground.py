"""Which voxels of a volume are foreground: one rule for masks, probabilities and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.fusion import level_of
from volproc.volume.metadata import VolumeInfo


def foreground_level(info: VolumeInfo, *, threshold: float) -> float:
    """The smallest voxel value of `info` that is foreground, for `threshold` from 0 to 1.

    uint8 images hold probabilities or masks from 0 to 255, so `threshold` is a share of 255 and
    never takes in 0; float images hold probabilities from 0 to 1. In labels, masks of bool and all
    other integers, 1 and above are foreground. VolumeError for values of any other type.
    """
    kind = np.dtype(info.dtype).kind
    if kind not in "buif":
        raise VolumeError(f"{info.url} holds {info.dtype}; a mask needs bool, integers or floats")
    if kind == "f":
        return threshold
    if info.kind == "image" and info.dtype == "uint8":
        return level_of(threshold)
    return 1


def foreground(values: npt.NDArray[Any], *, level: float, what: str) -> npt.NDArray[np.bool_]:
    """Where `values` reach `level`; VolumeError naming `what` if some are not a number."""
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise VolumeError(
            f"{what} has voxels that are not a number (NaN); give them a value, 0 for background"
        )
    if values.dtype == np.bool_:
        return values
    reached: npt.NDArray[np.bool_] = values >= level
    return reached

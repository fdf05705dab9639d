"""What a step of a training learns from: patches as they are stored, and as the network sees them.

A patch is viewed along an axis, which comes first:

    viewed along   slices   rows   columns   a section (cut of the microscope) is
    z              z        y      x         a slice
    y              y        z      x         a row
    x              x        z      y         a row
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class RawPatches:
    """N patches of one step, before anything is changed on them; one shape, on one device."""

    planes: Tensor
    """(N, slices_in, H, W), as stored: uint8, or float32."""
    mean: Tensor
    """(N,), float32: grey value that becomes 0, one per volume."""
    std: Tensor
    """(N,), float32: grey values that become 1."""
    target: Tensor
    """(N, classes, slices_in, H, W), uint8: the probability of each class times 255."""
    weight: Tensor
    """(N, classes, slices_in, H, W), uint8: what a voxel counts times 255; 0 where nobody said."""
    axes: tuple[int, ...]
    """Of each patch the axis it is viewed along: 0, 1, 2 for z, y, x."""
    step: int
    """With the training's seed and the number of a patch, all that randomness depends on."""
    first: int = 0
    """Number of the first patch in the step's batch; more than 0 in one process of several."""


class Batch(NamedTuple):
    """What the loss takes, float32 on the network's device."""

    planes: Tensor
    """(N, slices_in, H, W), normalised."""
    target: Tensor
    """(N, classes, slices_out, H, W), probabilities, of the central slices."""
    weight: Tensor
    """(N, classes, slices_out, H, W), 0 to 1."""

"""The same voxels seen along z, y or x: planes of the other two axes, in their order."""

from __future__ import annotations

from typing import Literal, TypeVar

import torch

Axis = Literal["z", "y", "x"]

T = TypeVar("T")

_ORDER: dict[str, tuple[int, int, int]] = {"z": (0, 1, 2), "y": (1, 0, 2), "x": (2, 0, 1)}
_BACK: dict[str, tuple[int, int, int]] = {"z": (0, 1, 2), "y": (1, 0, 2), "x": (1, 2, 0)}


def along(axis: Axis, triple: tuple[T, T, T]) -> tuple[T, T, T]:
    """A (z, y, x) triple as (depth, height, width) when looking along `axis`.

    >>> along("x", ("z", "y", "x"))
    ('x', 'z', 'y')
    """
    depth, height, width = _ORDER[axis]
    return triple[depth], triple[height], triple[width]


def back(axis: Axis, triple: tuple[T, T, T]) -> tuple[T, T, T]:
    """The inverse of `along`.

    >>> back("x", along("x", (1, 2, 3)))
    (1, 2, 3)
    """
    z, y, x = _BACK[axis]
    return triple[z], triple[y], triple[x]


def oriented(values: torch.Tensor, axis: Axis) -> torch.Tensor:
    """A view of (z, y, x) voxels as (depth, height, width) along `axis`; nothing is copied."""
    return values.permute(_ORDER[axis])

"""OME-Zarr's coordinate transformations as a scale and a translation, all that a volume can have.

Rotations, shears and the like are refused: without them voxels would be in the wrong place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Step = dict[str, Any]


class TransformationError(ValueError):
    """A transformation that no voxel size and position can express; its text says which."""


@dataclass(frozen=True)
class Placement:
    """position = index * scale + offset, one number per axis. `scaled`: a scale was stated."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    scaled: bool = False

    def then(self, other: Placement) -> Placement:
        """This placement followed by `other`."""
        scale = tuple(a * b for a, b in zip(self.scale, other.scale, strict=True))
        moved = zip(self.offset, other.scale, other.offset, strict=True)
        offset = tuple(a * b + c for a, b, c in moved)
        return Placement(scale, offset, self.scaled or other.scaled)


def placement(steps: Sequence[Step], *, count: int) -> Placement:
    """The transformations of `count` axes, one after the other; TransformationError for others.

    >>> steps = [{"type": "scale", "scale": [5, 2]}, {"type": "translation", "translation": [1, 0]}]
    >>> placement(steps, count=2)
    Placement(scale=(5.0, 2.0), offset=(1.0, 0.0), scaled=True)
    """
    found = Placement((1.0,) * count, (0.0,) * count)
    for step in steps:
        found = found.then(_one(step, count))
    return found


def _one(step: Step, count: int) -> Placement:
    kind = str(step.get("type"))
    ones, zeros = (1.0,) * count, (0.0,) * count
    if kind == "identity":
        return Placement(ones, zeros)
    if kind == "sequence":
        return placement(step["transformations"], count=count)
    if kind not in ("scale", "translation", "affine", "rotation", "mapAxis"):
        raise TransformationError(f"a transformation of type {kind}")
    if not isinstance(step.get(kind), list):
        where = f" in {step['path']}" if "path" in step else ""
        raise TransformationError(f"a {kind} without its numbers{where}")
    if kind == "mapAxis":
        return _straight(np.eye(count)[np.asarray(step[kind], dtype=int)], zeros, kind, count)
    values = np.asarray(step[kind], dtype=float)
    if kind in ("scale", "translation"):
        if values.shape != (count,):
            raise TransformationError(f"{values.size} numbers of {kind} for {count} axes")
        numbers = tuple(values.tolist())
        return Placement(numbers, zeros, True) if kind == "scale" else Placement(ones, numbers)
    if kind == "rotation":
        return _straight(values, zeros, kind, count)
    if values.ndim == 1 and values.size in (count * (count + 1), (count + 1) ** 2):
        values = values.reshape(-1, count + 1)
    if values.ndim != 2 or values.shape[1] != count + 1 or len(values) - count not in (0, 1):
        raise TransformationError(f"an affine matrix of {values.shape} for {count} axes")
    return _straight(values[:count, :count], tuple(values[:count, count].tolist()), kind, count)


def _straight(matrix: Any, offset: tuple[float, ...], kind: str, count: int) -> Placement:
    if matrix.shape != (count, count) or np.any(matrix != np.diag(np.diagonal(matrix))):
        raise TransformationError(f"a transformation of type {kind} that turns or shears its axes")
    return Placement(tuple(np.diagonal(matrix).tolist()), offset, kind == "affine")

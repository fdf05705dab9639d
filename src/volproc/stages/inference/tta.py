"""Test-time augmentation: the mean over mirror images, and the central planes only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from volproc.model.network import Predict
from volproc.model.output_window import OutputWindow

if TYPE_CHECKING:
    from torch import Tensor

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Sides of a plane that are mirrored: none, each, both."""


def augmented(predict: Predict, *, flips: bool, keep: int) -> Predict:
    """`predict`, over all `FLIPS` if requested, for the central `keep` planes of its output."""
    return central_planes(over_flips(predict) if flips else predict, keep)


def over_flips(predict: Predict) -> Predict:
    """The mean of the probabilities of a plane's four mirror images, each turned back.

    Windows begin and end on multiples of the network's stride, and their halo is the same on
    all sides: so a mirrored tile, too, is predicted as in the whole mirrored plane.
    """

    def mean(planes: Tensor, constants: Any, requested: OutputWindow) -> Tensor:
        total = predict(planes, constants, requested)
        for sides in FLIPS[1:]:
            there = _mirrored(requested, sides, planes)
            total = total + predict(planes.flip(sides), constants, there).flip(sides)
        return total / len(FLIPS)

    return mean


def _mirrored(requested: OutputWindow, sides: tuple[int, ...], planes: Tensor) -> OutputWindow:
    """Where the `requested` rows and columns are in the mirrored planes."""
    rows, columns = (
        slice(planes.shape[n] - s.stop, planes.shape[n] - s.start) if n in sides else s
        for n, s in zip((-2, -1), requested, strict=True)
    )
    return rows, columns


def central_planes(predict: Predict, keep: int) -> Predict:
    """The central `keep` of the planes that `predict` gives."""

    def few(planes: Tensor, constants: Any, requested: OutputWindow) -> Tensor:
        output = predict(planes, constants, requested)
        first = (output.shape[-3] - keep) // 2
        return output[..., first : first + keep, :, :]

    return few

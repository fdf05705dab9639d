"""How a network is asked: as it is, over mirror images, or for its central planes only."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from volproc.errors import ConfigError
from volproc.model.network import Network, Predict
from volproc.model.output_window import OutputWindow

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Sides of a plane that are turned round: none, each, both."""


def augmented(predict: Predict, *, flips: bool, keep: int) -> Predict:
    """`predict` for the central `keep` planes of what it answers, over `FLIPS` if wanted."""
    return central(over_flips(predict) if flips else predict, keep)


def over_flips(predict: Predict) -> Predict:
    """The mean of the probabilities of a plane's four mirror images, each turned back.

    Windows begin and end on multiples of the network's stride, and their halo is the same on
    all sides: so a mirrored tile, too, is answered as in the whole mirrored plane.
    """

    def mean(planes: Tensor, constants: Any, requested: OutputWindow) -> Tensor:
        total = predict(planes, constants, requested)
        for sides in FLIPS[1:]:
            there = _turned(requested, sides, planes)
            total = total + predict(planes.flip(sides), constants, there).flip(sides)
        return total / len(FLIPS)

    return mean


def _turned(requested: OutputWindow, sides: tuple[int, ...], planes: Tensor) -> OutputWindow:
    """Where `wanted` lies in the planes turned round."""
    rows, columns = (
        slice(planes.shape[n] - s.stop, planes.shape[n] - s.start) if n in sides else s
        for n, s in zip((-2, -1), requested, strict=True)
    )
    return rows, columns


def central(predict: Predict, keep: int) -> Predict:
    """The central `keep` of the planes that `predict` answers."""

    def few(planes: Tensor, constants: Any, requested: OutputWindow) -> Tensor:
        answer = predict(planes, constants, requested)
        first = (answer.shape[1] - keep) // 2
        return answer[:, first : first + keep]

    return few


def planes_kept(network: Network, keep: int) -> int:
    """How many of the answered planes count, for [predict] keep; ConfigError if it cannot be."""
    most = network.slices_out
    if keep > most or (keep and (most - keep) % 2):
        raise ConfigError(
            f"[predict] keep = {keep}: model {network.name} answers {most} planes; keep an "
            f"{'even' if most % 2 == 0 else 'odd'} number of up to {most}, or 0 for all"
        )
    return keep or most

"""What a network needs around a tile and where tiles may begin, measured on its answers to noise.

Reach: one side of a strip of noise is replaced by other noise; how far into the other side does
an answer change, by a bit of float32 at least? What is found is what tiles can differ by; layers
may reach further with weights that leave no trace. Where answers change to the very end of the
longest strip, the network looks at all of its tile, as those with Group- or InstanceNorm do.

Stride: the strip is rolled by 1, 2, 4, ... pixels; the stride is the first shift at which the
answers in the middle move along as well as with the longest shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from volproc.errors import ModelError

AS_WELL, ROUNDING = 4.0, 1e-5
"""How much worse than with the longest shift answers may move along; in answers' spreads, what is
rounding."""
ASTRAY = 0.1
"""From this difference, in spreads, answers do not move along at all."""
STRIDES = (1, 2, 4, 8, 16, 32, 64)

TWO_VALUED = 8
"""Strips of noise that a mask is tried on: it changes in few places of each."""

Noise = Callable[[tuple[int, ...], torch.Generator], Tensor]
"""Planes (N, D, H, W) as the network is given them, prepared, that hold nothing but chance."""

Answer = Callable[[Tensor], Tensor]
"""Prepared planes (N, D, H, W) -> one channel of the answer, (N, D', H, W)."""


@dataclass(frozen=True)
class Sight:
    """Along one axis."""

    stride: int
    halo: int | None
    """Context a tile needs that begins and ends on multiples of `stride`; None: all there is."""


class SameAnswer(ModelError):
    """The network answers the same to any noise."""


def normal(shape: tuple[int, ...], chance: torch.Generator) -> Tensor:
    """Noise of mean 0 and spread 1, as most networks are given images."""
    return torch.randn(shape, generator=chance)


def sight(
    answer: Answer,
    shape: tuple[int, int, int],
    axis: int,
    *,
    stride: int | None,
    name: str,
    noise: Noise = normal,
) -> Sight:
    """How the network `name` sees along `axis` (1 depth, 2 height, 3 width) of planes of `shape`.

    The answers may be a centred part of the planes. `stride` is measured unless stated.
    ModelError when the network answers the same to all noise, or no numbers.
    """
    chance = torch.Generator().manual_seed(0)
    base, other = (noise((1, *shape), chance) for _ in range(2))
    plain = answer(base)
    if not bool(torch.isfinite(plain).all()):
        raise ModelError(
            f"{name} answers NaN or infinity to noise; state in a card what it wants before it, as "
            "[[preprocessing]], or take another model"
        )
    if float(plain.std()) == 0:
        raise SameAnswer(
            f"{name} answers the same to any noise and to grey values from 0 to 255; check that "
            "it is the trained one, and state in a card what it wants before it, as "
            "[[preprocessing]]"
        )
    others = [other]
    if bool(((plain == plain.min()) | (plain == plain.max())).all()):
        others += [noise((1, *shape), chance) for _ in range(TWO_VALUED)]
    step = stride or _stride(answer, base, plain, axis, name)
    length = shape[axis - 1]
    cut = length // 2 // step * step
    after = _changed(answer, base, others, plain, axis=axis, part=slice(cut, length))[0]
    before = _changed(answer, base, others, plain, axis=axis, part=slice(0, cut))[-1] + 1
    halo = max(cut - after // step * step, -(-before // step) * step - cut)
    lost = (length - plain.shape[axis]) // 2
    return Sight(step, None if halo + lost >= length - cut else halo)


def _changed(
    answer: Answer, base: Tensor, others: list[Tensor], plain: Tensor, *, axis: int, part: slice
) -> list[int]:
    """Where along `axis`, in the planes' own places, answers change when `part` of them does."""
    change = torch.zeros(plain.shape[axis])
    for other in others:
        mixed = base.clone()
        mixed.movedim(axis, 0)[part] = other.movedim(axis, 0)[part]
        found = (answer(mixed) - plain).abs().movedim(axis, 0).flatten(1).amax(1)
        change = torch.maximum(change, found.cpu())
    lost = (base.shape[axis] - plain.shape[axis]) // 2
    where = change.nonzero().flatten() + lost
    return [int(n) for n in where] or [part.start, part.stop - 1]


def _stride(answer: Answer, base: Tensor, plain: Tensor, axis: int, name: str) -> int:
    """The first shift that the middle of the answers follows as well as any longer one.

    ModelError if there is none.
    """
    tried = [shift for shift in STRIDES if 4 * shift <= plain.shape[axis]] or [1]
    apart = {shift: _astray(answer, base, plain, axis, shift) for shift in reversed(tried)}
    least = min(apart.values())
    if least > ASTRAY:
        raise ModelError(
            f"answers of {name} do not move along with the image by any of {tried} "
            f"{'planes; state depth_stride' if axis == 1 else 'pixels; state stride'} in a card"
        )
    good = max(ROUNDING, AS_WELL * least)
    return next(shift for shift in tried if apart[shift] <= good)


def _astray(answer: Answer, base: Tensor, plain: Tensor, axis: int, shift: int) -> float:
    """How far off, in spreads, answers are that should have moved by `shift`, in the middle."""
    first = plain.shape[axis] // 2 - shift // 2
    where = torch.arange(max(0, first - 1), first + 2)
    moved = answer(base.roll(shift, axis)).index_select(axis, where + shift)
    change = (moved - plain.index_select(axis, where)).abs().max()
    return float(change) / float(plain.std())

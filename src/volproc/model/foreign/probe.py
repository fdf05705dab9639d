"""The halo and stride of a network, measured on its output for noise.

Halo: one side of a strip of noise is replaced by other noise. How far into the other side does the
output change, by a bit of float32 at least? That is all that tiles can differ by; layers may reach
further with weights that leave no trace. Where the output changes to the very end of the longest
strip, the network looks at its whole tile, as those with Group- or InstanceNorm do.

    input    |........noise........|#####other noise#####|
    output   |......same......|~~~~~~~~changed~~~~~~~~~~~|
                              |halo|

Stride: the strip is rolled by 1, 2, 4, ... pixels; the stride is the first shift at which the
output in the middle moves along as well as with the longest shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from volproc.errors import ModelError

AS_WELL, ROUNDING = 4.0, 1e-5
"""How much worse than with the longest shift the output may move along; what counts as rounding, in
standard deviations of the output."""
ASTRAY = 0.1
"""From this difference on, in standard deviations, the output does not move along at all."""
STRIDES = (1, 2, 4, 8, 16, 32, 64)

TWO_VALUED = 8
"""Strips of noise for a network that outputs a mask: it changes in few places of each."""

Noise = Callable[[tuple[int, ...], torch.Generator], Tensor]
"""Random planes (N, D, H, W) as the network takes them, after preprocessing."""

Run = Callable[[Tensor], Tensor]
"""Prepared planes (N, D, H, W) -> one channel of the output, (N, D', H, W)."""


@dataclass(frozen=True)
class Sight:
    """Along one axis."""

    stride: int
    halo: int | None
    """Context for a tile that begins and ends on multiples of `stride`; None: the whole tile."""


class ConstantOutput(ModelError):
    """The network outputs the same for any noise."""


def normal(shape: tuple[int, ...], chance: torch.Generator) -> Tensor:
    """Noise of mean 0 and standard deviation 1, as most networks take images."""
    return torch.randn(shape, generator=chance)


def sight(
    run: Run,
    shape: tuple[int, int, int],
    axis: int,
    *,
    stride: int | None,
    name: str,
    noise: Noise = normal,
) -> Sight:
    """How the network `name` sees along `axis` (1 depth, 2 height, 3 width) of planes of `shape`.

    The output may be a centred part of the planes. `stride` is measured unless stated.
    ModelError when the network outputs the same for all noise, or no numbers.
    """
    chance = torch.Generator().manual_seed(0)
    base, other = (noise((1, *shape), chance) for _ in range(2))
    plain = run(base)
    if not bool(torch.isfinite(plain).all()):
        raise ModelError(
            f"{name} predicts NaN or infinity for noise; state in a card what it wants before it, "
            "as [[preprocessing]], or take another model"
        )
    if float(plain.std()) == 0:
        raise ConstantOutput(
            f"{name} predicts the same for any noise and for grey values from 0 to 255; check that "
            "it is the trained one, and state in a card what it wants before it, as "
            "[[preprocessing]]"
        )
    others = [other]
    if bool(((plain == plain.min()) | (plain == plain.max())).all()):
        others += [noise((1, *shape), chance) for _ in range(TWO_VALUED)]
    step = stride or _stride(run, base, plain, axis, name)
    length = shape[axis - 1]
    cut = length // 2 // step * step
    after = _changed(run, base, others, plain, axis=axis, part=slice(cut, length))[0]
    before = _changed(run, base, others, plain, axis=axis, part=slice(0, cut))[-1] + 1
    halo = max(cut - after // step * step, -(-before // step) * step - cut)
    lost = (length - plain.shape[axis]) // 2
    return Sight(step, None if halo + lost >= length - cut else halo)


def _changed(
    run: Run, base: Tensor, others: list[Tensor], plain: Tensor, *, axis: int, part: slice
) -> list[int]:
    """Positions along `axis` of the planes where the output changes when `part` of them does."""
    change = torch.zeros(plain.shape[axis])
    for other in others:
        mixed = base.clone()
        mixed.movedim(axis, 0)[part] = other.movedim(axis, 0)[part]
        found = (run(mixed) - plain).abs().movedim(axis, 0).flatten(1).amax(1)
        change = torch.maximum(change, found.cpu())
    lost = (base.shape[axis] - plain.shape[axis]) // 2
    where = change.nonzero().flatten() + lost
    return [int(n) for n in where] or [part.start, part.stop - 1]


def _stride(run: Run, base: Tensor, plain: Tensor, axis: int, name: str) -> int:
    """The first shift that the middle of the output follows as well as any longer one.

    ModelError if there is none.
    """
    tried = [shift for shift in STRIDES if 4 * shift <= plain.shape[axis]] or [1]
    apart = {shift: _astray(run, base, plain, axis, shift) for shift in reversed(tried)}
    least = min(apart.values())
    if least > ASTRAY:
        raise ModelError(
            f"the output of {name} does not move along with the image by any of {tried} "
            f"{'planes; state depth_stride' if axis == 1 else 'pixels; state stride'} in a card"
        )
    good = max(ROUNDING, AS_WELL * least)
    return next(shift for shift in tried if apart[shift] <= good)


def _astray(run: Run, base: Tensor, plain: Tensor, axis: int, shift: int) -> float:
    """How far off the output is that should have moved by `shift`, in standard deviations."""
    first = plain.shape[axis] // 2 - shift // 2
    where = torch.arange(max(0, first - 1), first + 2)
    moved = run(base.roll(shift, axis)).index_select(axis, where + shift)
    change = (moved - plain.index_select(axis, where)).abs().max()
    return float(change) / float(plain.std())

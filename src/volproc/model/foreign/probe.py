"""What a network needs around a tile and where tiles may begin, measured on its answers to noise.

Reach: one side of a strip of noise is replaced by other noise; how far into the other side do
answers change? A change of less than `SEEN` of the answers' spread is none: 10^-6 is what float32
leaves undecided. Where answers change to the very end of the longest strip, the network looks at
all of its tile, as those with Group- or InstanceNorm do.

Stride: the strip is rolled by 1, 2, 4, ... pixels; the stride is the first shift at which the
answers in the middle move along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from volproc.errors import ModelError

SEEN = 1e-6
MOVES_ALONG = 1e-3
STRIDES = (1, 2, 4, 8, 16, 32, 64)

Answer = Callable[[Tensor], Tensor]
"""Prepared planes (N, D, H, W) -> one channel of the answer, (N, D', H, W)."""


@dataclass(frozen=True)
class Sight:
    """Along one axis."""

    stride: int
    halo: int | None
    """Context a tile needs that begins and ends on multiples of `stride`; None: all there is."""


def sight(answer: Answer, shape: tuple[int, int, int], axis: int, *, stride: int | None) -> Sight:
    """How the network sees along `axis` (1 depth, 2 height, 3 width) of planes of `shape`.

    The answers may be a centred part of the planes. `stride` is measured unless stated.
    ModelError when the network answers the same to all noise.
    """
    noise = torch.Generator().manual_seed(0)
    base, other = (torch.randn(1, *shape, generator=noise) for _ in range(2))
    plain = answer(base)
    if float(plain.std()) == 0:
        raise ModelError("it answers the same to any noise; state stride and halo in a card")
    step = stride or _stride(answer, base, plain, axis)
    length = shape[axis - 1]
    cut = length // 2 // step * step
    after = _changed(answer, base, other, plain, axis=axis, part=slice(cut, length))[0]
    before = _changed(answer, base, other, plain, axis=axis, part=slice(0, cut))[-1] + 1
    halo = max(cut - after // step * step, -(-before // step) * step - cut)
    lost = (length - plain.shape[axis]) // 2
    return Sight(step, None if halo + lost >= length - cut else halo)


def _changed(
    answer: Answer, base: Tensor, other: Tensor, plain: Tensor, *, axis: int, part: slice
) -> list[int]:
    """Where along `axis`, in the planes' own places, answers change when `part` of them does."""
    mixed = base.clone()
    mixed.movedim(axis, 0)[part] = other.movedim(axis, 0)[part]
    change = (answer(mixed) - plain).abs().movedim(axis, 0).flatten(1).amax(1)
    lost = (base.shape[axis] - plain.shape[axis]) // 2
    where = (change > SEEN * float(plain.std())).nonzero().flatten() + lost
    return [int(n) for n in where] or [part.start, part.stop - 1]


def _stride(answer: Answer, base: Tensor, plain: Tensor, axis: int) -> int:
    """The first shift that the middle of the answers follows; ModelError if there is none."""
    tried = list(takewhile(lambda shift: 4 * shift <= plain.shape[axis], STRIDES))
    middle = plain.shape[axis] // 2
    where = torch.arange(middle - tried[-1] // 2, middle + 1)
    for shift in tried:
        moved = answer(base.roll(shift, axis)).index_select(axis, where + shift)
        change = (moved - plain.index_select(axis, where)).abs().max()
        if float(change) < MOVES_ALONG * float(plain.std()):
            return shift
    raise ModelError(
        f"its answers do not move along with the image by any of {tried} pixels; state its stride "
        "in a card"
    )

"""Checks of a network's output by a few numbers: at once, or for a whole block when it is back.

To look at a number of a GPU the host has to wait until all that it asked for is computed, and has
nothing more to ask for meanwhile. So within `deferring` numbers stay there, and come down together:

    call 1 ─▶ numbers ┐
    call 2 ─▶ numbers ┼─▶ one copy, with the block's result ─▶ each check, in the order of the calls
    call 3 ─▶ numbers ┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from volproc.lazy import lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy("torch")

Check = Callable[..., None]
"""Called with the numbers; raises if they are not as they should be."""


@dataclass
class DeferredChecks:
    """What is still to be checked of a block."""

    _numbers: list[Tensor] = field(default_factory=list)
    _checks: list[Check] = field(default_factory=list)

    def add(self, numbers: Tensor, check: Check) -> None:
        """Check these later."""
        self._numbers.append(numbers)
        self._checks.append(check)

    def numbers(self, device: torch.device) -> Tensor:
        """All numbers, (n,) float32, on `device`; none where all was checked at once."""
        here = [numbers.to(device) for numbers in self._numbers]
        return torch.cat(here) if here else torch.empty(0)

    def require(self, numbers: Sequence[float]) -> None:
        """Call each check with its part of the `numbers`, which have come from the device."""
        first = 0
        for own, check in zip(self._numbers, self._checks, strict=True):
            check(*numbers[first : first + len(own)])
            first += len(own)


_deferred: ContextVar[DeferredChecks | None] = ContextVar("deferred", default=None)


@contextmanager
def deferring() -> Iterator[DeferredChecks]:
    """Within it numbers of a GPU are only collected; who calls it has to `require` them."""
    found = DeferredChecks()
    before = _deferred.set(found)
    try:
        yield found
    finally:
        _deferred.reset(before)


def check_soon(numbers: Tensor, check: Check) -> None:
    """`check` the numbers (n,) of one call: at once, or later if they are a GPU's (`deferring`)."""
    deferred = _deferred.get()
    if deferred is None or not numbers.is_cuda:
        check(*numbers.cpu().tolist())
    else:
        deferred.add(numbers, check)

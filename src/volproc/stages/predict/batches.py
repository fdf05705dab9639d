"""How much goes through the network in one call, and what is done when memory runs out.

    many tiles -> half as many -> ... -> one tile -> half a tile -> ... -> ModelError

Halves of a tile have the network's whole halo, so their answers are the tile's, but for rounding.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import prod

from volproc.errors import ModelError
from volproc.grid.box import Box
from volproc.model.network import Network
from volproc.stages.predict.device import free_bytes, give_back, is_out_of_memory
from volproc.stages.predict.orientation import along
from volproc.stages.predict.tiling import Tile

SHARE = 0.8
"""Of a GPU's free memory that a call may take by its estimate."""

MAX_PIXELS = 4 * 2**20
"""In one call on a GPU: enough to keep it busy, few enough for tensors of under 2^31 values."""

HOST_BYTES = 2 * 2**30
"""For a call on a CPU: the same everywhere, so that the same tiles are halved on all machines."""


@dataclass
class Batch:
    """What a worker has found to fit into one call: at most `tiles` of together `pixels`."""

    tiles: int
    pixels: int
    device: str = "cpu"

    def at_once(self, one: Tile) -> int:
        """How many passes like this fit; 0 if not even one does."""
        return min(self.tiles, self.pixels // _pixels(one))

    def halve(self, some: list[Tile]) -> None:
        """Remember that `some` were too many."""
        self.pixels = sum(map(_pixels, some)) // 2
        give_back(self.device)


_portions: dict[tuple[str, str, int], Batch] = {}
_finding = threading.Lock()


def batch_for(network: Network, device: str, *, requested: int) -> Batch:
    """This worker's portion for `network`, from the memory that is free when it is first asked.

    `wanted` tiles, or if that is 0 as many as fit; on a CPU one, which is fastest there.
    """
    with _finding:
        key = (network.digest, device, requested)
        if key not in _portions:
            room = SHARE * free_bytes() if device == "cuda" else HOST_BYTES
            pixels = fitting_pixels(network, room)
            most = MAX_PIXELS if device == "cuda" else pixels
            _portions[key] = Batch(requested_tiles(device, requested), min(most, pixels), device)
        return _portions[key]


def requested_tiles(device: str, requested: int) -> int:
    """The most tiles in one call, [predict] batch = `wanted`; 0 is one on a CPU (measured best)."""
    return requested or (1 if device == "cpu" else MAX_PIXELS)


def fitting_pixels(network: Network, room: float) -> int:
    """Pixels of planes whose inference fits into `room` bytes."""
    side = 64 * network.stride
    each = network.activation_bytes(side, side) / side**2
    return int(room / max(1.0, each))


def in_batches(
    passes: Iterable[Tile],
    answer: Callable[[list[Tile]], None],
    *,
    portion: Batch,
    halo: int,
    stride: int,
) -> None:
    """`answer` all `passes`, alike ones together, in such portions as fit.

    ModelError where the smallest tile is too much. Nothing is answered twice: what failed for
    lack of memory has kept nothing.
    """
    waiting = deque(passes)
    while waiting:
        fits = portion.at_once(waiting[0])
        parts = halves(waiting[0], halo=halo, stride=stride) if fits == 0 else None
        if parts:
            waiting.popleft()
            waiting.extendleft(reversed(parts))
            continue
        some = _alike(waiting, max(1, fits))
        # the error holds on to what the call had made until the handler is left
        if _out_of_memory(answer, some):
            if len(some) == 1 and not halves(some[0], halo=halo, stride=stride):
                raise _too_large(some[0])
            portion.halve(some)
            waiting.extendleft(reversed(some))


def _out_of_memory(answer: Callable[[list[Tile]], None], some: list[Tile]) -> bool:
    try:
        answer(some)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return True
    return False


def _alike(waiting: deque[Tile], most: int) -> list[Tile]:
    """The next passes that see and answer alike, up to `most`."""
    some = [waiting.popleft()]
    kind = some[0].window.shape, some[0].requested
    while waiting and len(some) < most and (waiting[0].window.shape, waiting[0].requested) == kind:
        some.append(waiting.popleft())
    return some


def halves(one: Tile, *, halo: int, stride: int) -> tuple[Tile, Tile] | None:
    """The same answers from two smaller windows; None where halves would see as much as the whole.

    Cut along the longer side of the window if that helps, at a multiple of the stride.
    """
    for n in sorted(along(one.axis, (0, 1, 2))[1:], key=lambda side: -one.window.shape[side]):
        first, last = one.answer.start[n], one.answer.stop[n]
        cut = first + -(-(last - first) // (2 * stride)) * stride
        before, behind = min(one.window.stop[n], cut + halo), max(one.window.start[n], cut - halo)
        if cut < last and before < one.window.stop[n] and behind > one.window.start[n]:
            return (
                replace(one, window=_to(one.window, n, before), answer=_to(one.answer, n, cut)),
                replace(one, window=_from(one.window, n, behind), answer=_from(one.answer, n, cut)),
            )
    return None


def _to(box: Box, n: int, at: int) -> Box:
    z, y, x = (at if axis == n else stop for axis, stop in enumerate(box.stop))
    return Box(box.start, (z, y, x))


def _from(box: Box, n: int, at: int) -> Box:
    z, y, x = (at if axis == n else start for axis, start in enumerate(box.start))
    return Box((z, y, x), box.stop)


def _pixels(one: Tile) -> int:
    return prod(along(one.axis, one.window.shape)[1:])


def _too_large(one: Tile) -> ModelError:
    height, width = along(one.axis, one.window.shape)[1:]
    return ModelError(
        f"no memory for one tile of {height} x {width} pixels, the smallest the network can be "
        'asked for; close other programs, take a smaller model, or [predict] device = "cpu"'
    )

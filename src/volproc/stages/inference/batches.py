"""How many tiles go through the network in one call, and what happens when memory runs out.

    many tiles -> half as many -> ... -> one tile -> half a tile -> ... -> ModelError

A limit that was halved is doubled again after some good calls: who took the memory may be gone.
Half a tile has the network's whole halo, so its output is that of the tile, but for rounding.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import prod

from volproc.errors import ModelError
from volproc.grid.box import Box
from volproc.model.network import Network
from volproc.stages.inference.device_link import free_bytes, is_out_of_memory
from volproc.stages.inference.device_memory import make_room
from volproc.stages.inference.tiling import Tile, along

SHARE = 0.8
"""Of the memory for calls that one may take by its estimate: the rest is for what convolutions
need besides, and for gaps. Too much costs a call in 64 (`GOOD_CALLS`)."""

MAX_CHANNELS = 512
"""At full resolution, of any network: the published one has 236."""

MAX_PIXELS = 2**31 // MAX_CHANNELS
"""In one call on a GPU, 4 Mpixel: few enough for tensors of under 2^31 values, to which cuDNN's
indices reach, and enough for a GPU to compute longer than a thread needs for its launches: 74 of
4 us for `nuclei-50nm`, which are 0.2 TFLOP then."""

GOOD_CALLS = 64
"""After which a halved limit is doubled: one that is still too high costs one call in 64."""

HOST_BYTES = 2 * 2**30
"""For a call on a CPU: the same everywhere, so that the same tiles are halved on all machines."""


@dataclass
class BatchLimit:
    """What a worker has found to fit into one call: at most `tiles`, of together `pixels`."""

    tiles: int
    pixels: int
    device: str = "cpu"
    _most: int = field(init=False)
    _good: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._most = self.pixels

    def at_once(self, one: Tile) -> int:
        """How many tiles like this fit; 0 if not even one does."""
        return min(self.tiles, self.pixels // _pixels(one))

    def halve(self, batch: list[Tile]) -> None:
        """Remember that `batch` was too much."""
        self.pixels = sum(map(_pixels, batch)) // 2
        self._good = 0
        if self.device == "cuda":
            make_room()

    def fitted(self) -> None:
        """Count a good call; the limit grows back, at most to what it was at first."""
        self._good += 1
        if self._good % GOOD_CALLS == 0:
            self.pixels = min(self._most, 2 * self.pixels)


_limits: dict[tuple[str, str, int], BatchLimit] = {}
_finding = threading.Lock()


def batch_limit(
    network: Network, device: str, *, requested: int, room: int | None = None
) -> BatchLimit:
    """This worker's limit for `network`, from `room` at the first call: bytes of a GPU for calls.

    Without it all that is free. `requested` tiles, or if that is 0 as many as fit; on a CPU one,
    which is fastest there.
    """
    with _finding:
        key = (network.digest, device, requested)
        if key not in _limits:
            _limits[key] = _new_limit(network, device, requested, room)
        return _limits[key]


def _new_limit(network: Network, device: str, requested: int, room: int | None) -> BatchLimit:
    tiles = requested_tiles(device, requested)
    if device == "cpu":
        return BatchLimit(tiles, fitting_pixels(network, HOST_BYTES), device)
    pixels = fitting_pixels(network, SHARE * (free_bytes() if room is None else room))
    return BatchLimit(tiles, min(MAX_PIXELS, pixels), device)


def requested_tiles(device: str, requested: int) -> int:
    """The most tiles in a call, for [predict] batch; 0 is one on a CPU (measured fastest)."""
    return requested or (1 if device == "cpu" else MAX_PIXELS)


def fitting_pixels(network: Network, room: float) -> int:
    """Pixels of planes whose inference fits into `room` bytes."""
    side = 64 * network.stride
    each = network.activation_bytes(side, side) / side**2
    return int(room / max(1.0, each))


def in_batches(
    tiles: Iterable[Tile],
    run: Callable[[list[Tile]], None],
    *,
    limit: BatchLimit,
    halo: int,
    stride: int,
) -> None:
    """`run` all `tiles`, those of one shape together, in batches that fit.

    ModelError where the smallest tile is too much. No tile is run to its end twice: a batch that
    ran out of memory has stored nothing.
    """
    waiting = deque(tiles)
    while waiting:
        fits = limit.at_once(waiting[0])
        parts = halves(waiting[0], halo=halo, stride=stride) if fits == 0 else None
        if parts:
            waiting.popleft()
            waiting.extendleft(reversed(parts))
            continue
        batch = _next_batch(waiting, max(1, fits))
        # asked outside of the handler, as the error holds what the call had allocated
        if _out_of_memory(run, batch):
            if len(batch) == 1 and not halves(batch[0], halo=halo, stride=stride):
                raise _too_large(batch[0])
            limit.halve(batch)
            waiting.extendleft(reversed(batch))
        else:
            limit.fitted()


def _out_of_memory(run: Callable[[list[Tile]], None], batch: list[Tile]) -> bool:
    try:
        run(batch)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return True
    return False


def _next_batch(waiting: deque[Tile], most: int) -> list[Tile]:
    """The next tiles with windows and outputs of one shape, up to `most`."""
    batch = [waiting.popleft()]
    kind = batch[0].window.shape, batch[0].requested
    while waiting and len(batch) < most and (waiting[0].window.shape, waiting[0].requested) == kind:
        batch.append(waiting.popleft())
    return batch


def halves(one: Tile, *, halo: int, stride: int) -> tuple[Tile, Tile] | None:
    """The same output from two smaller windows; None where these would be as large as the whole.

    Cut along the longer side of the window if that helps, at a multiple of the stride:

        |halo|------output------|halo|
        |halo|-first---|halo|
                  |halo|-second-|halo|
    """
    for n in sorted(along(one.axis, (0, 1, 2))[1:], key=lambda side: -one.window.shape[side]):
        first, last = one.output.start[n], one.output.stop[n]
        cut = first + -(-(last - first) // (2 * stride)) * stride
        before, behind = min(one.window.stop[n], cut + halo), max(one.window.start[n], cut - halo)
        if cut < last and before < one.window.stop[n] and behind > one.window.start[n]:
            return (
                replace(one, window=_to(one.window, n, before), output=_to(one.output, n, cut)),
                replace(one, window=_from(one.window, n, behind), output=_from(one.output, n, cut)),
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


class TileError(ModelError, MemoryError):
    """Not even the smallest tile fits into memory."""


def _too_large(one: Tile) -> TileError:
    height, width = along(one.axis, one.window.shape)[1:]
    return TileError(
        f"no memory for one tile of {height} x {width} pixels, the smallest that the network can "
        'take; close other programs, take a smaller model, or [predict] device = "cpu"'
    )

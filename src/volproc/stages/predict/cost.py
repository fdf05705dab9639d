"""What predicting a block costs, before a voxel is read."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from volproc.grid.box import Box
from volproc.stages.predict.asking import FLIPS
from volproc.stages.predict.device import device_for
from volproc.stages.predict.orientation import along
from volproc.stages.predict.portions import HOST_BYTES, tiles_wanted
from volproc.stages.predict.task import Predict
from volproc.volume.metadata import itemsize
from volproc.volume.resample import SLAB


@dataclass(frozen=True)
class Cost:
    """Of one block: memory at its peak, and while another is computed; bytes read; operations."""

    peak_bytes: int
    waiting_bytes: int
    bytes_read: int
    flop: int


def cost_of(core: Box, task: Predict) -> Cost:
    """The cost of doing `task` for the block of `core`."""
    window = task.layout.window(core, task.options.axes)
    source = task.way.source(window)
    read = source.size * itemsize(task.image.info.dtype)
    votes = core.size * (len(task.options.axes) + 1)
    channels = len(task.votes.info.channels) if task.votes else 0
    encoding = 2 * prod(task.output.info.write_unit) * max(1, channels)
    if device_for(task.options.device) == "cuda":
        # The device has the rest. Page-locked copies are rounded up to a power of two, and kept.
        here = read + 2 * (read + votes) + encoding
        return Cost(here, here, read, _flop(core, task))
    peak = (
        read + _computing(window, source, task) + votes + max(_activations(window, task), encoding)
    )
    return Cost(peak, max(read, votes + encoding), read, _flop(core, task))


def _flop(core: Box, task: Predict) -> int:
    total = 0
    for axis in task.options.axes:
        for one in task.layout.passes(core, axis):  # type: ignore[arg-type]
            _, *seen = along(one.axis, one.window.shape)
            _, high, wide = along(one.axis, one.answer.shape)
            total += task.network.flop(seen[0], seen[1], (high, wide))
    return total * (len(FLIPS) if task.options.flips else 1)


def _computing(window: Box, source: Box, task: Predict) -> int:
    """Besides what is read: the weights, and the window, resampled and turned."""
    voxel = 1 if task.image.info.dtype == "uint8" else 4
    slab = 3 * 4 * SLAB * max(source.size // source.shape[0], window.size // window.shape[0])
    windows = window.size * voxel * (2 if "x" in task.options.axes else 1)  # one turned
    return task.network.weight_bytes + windows + slab


def _activations(window: Box, task: Predict) -> int:
    """Of one call of the network, on a CPU."""
    sides = sorted(window.shape)[-2:]
    tiles = tiles_wanted("cpu", task.options.batch)
    return tiles * min(HOST_BYTES, task.network.activation_bytes(*sides))

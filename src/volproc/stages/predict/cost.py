"""What predicting a block costs, before a voxel is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, Shape, each
from volproc.stages.inference.batches import HOST_BYTES, requested_tiles
from volproc.stages.inference.device_link import TRANSFER_BYTES
from volproc.stages.inference.tta import FLIPS
from volproc.stages.inference.votes import flop_of
from volproc.stages.predict.gpu_memory import DeviceBytes, device_bytes
from volproc.stages.predict.task import Predict
from volproc.volume.metadata import itemsize
from volproc.volume.resampling import SLAB


@dataclass(frozen=True)
class Cost:
    """Of one block: memory at its peak and while it waits for another; bytes read; operations; and
    the memory of a GPU, if it is computed there."""

    peak_bytes: int
    waiting_bytes: int
    bytes_read: int
    flop: int
    device: DeviceBytes | None = None


def cost_of(core: Box, task: Predict) -> Cost:
    """The cost of doing `task` for the block of `core`."""
    placed = task.placed(core)
    window = task.layout.window(placed, task.options.axes)
    source = task.resampler.source(window)
    read = source.size * itemsize(task.image.info.dtype)
    read += task.mask.bytes_under(placed) if task.mask else 0
    fused = core.size * len(task.outputs)
    votes = fused * (len(task.options.axes) + 1)
    encoding = _encoding(core, task)
    if task.device == "cuda":
        # read and copied to the device, or copied back and written: never both in one thread
        down = votes if task.votes else fused
        host = TRANSFER_BYTES + max(read, down + encoding)
        return Cost(host, host, read, _flop(placed, task), device_bytes(placed, task))
    peak = (
        read + _computing(window, source, task) + votes + max(_activations(window, task), encoding)
    )
    return Cost(peak, max(read, votes + encoding), read, _flop(placed, task))


def _encoding(core: Box, task: Predict) -> int:
    """Of the largest shard; votes of several classes are brought into another order before."""
    written = [volume.info for volume in (task.output, task.votes) if volume]
    shard = max(prod(info.write_unit) * max(1, len(info.channels)) for info in written)
    several = len(task.outputs) > 1 and task.votes is not None
    return 2 * shard + several * core.size * len(task.outputs) * len(task.options.axes)


def costs_of(
    blocks: Tiling, task: Predict, inside: frozenset[int] | None = None
) -> Iterator[tuple[int, Cost]]:
    """How many blocks there are of each kind, and the cost of one: few kinds, however many blocks.

    A cost follows from lengths along z, y and x, so blocks of equal lengths cost the same. Only
    blocks `inside` a mask count, if there is one.
    """
    counted = np.full(len(blocks), inside is None)
    counted[list(inside or ())] = True
    by_place: npt.NDArray[np.bool_] = counted.reshape(blocks.counts)
    for kinds in product(*(_kinds(blocks, task, axis).values() for axis in range(3))):
        first = each(lambda places: places[0], kinds)
        count = int(np.count_nonzero(by_place[np.ix_(*kinds)]))
        if count:
            yield count, cost_of(blocks[blocks.number(first)].core, task)


def _kinds(blocks: Tiling, task: Predict, axis: int) -> dict[object, list[int]]:
    """Positions of blocks along one axis, by all lengths along it that a cost depends on."""
    kinds: dict[object, list[int]] = {}
    for place in range(blocks.counts[axis]):
        here: Shape = each(lambda n: place if n == axis else 0, range(3))  # noqa: B023 used at once
        core = task.placed(blocks[blocks.number(here)].core)
        window = task.layout.window(core, task.options.axes)
        views = [task.layout.spans(core, axis, in_plane=flag) for flag in (False, True)]
        lengths = tuple(tuple((w[1] - w[0], a[1] - a[0]) for w, a in spans) for spans in views)
        whole = (core.shape[axis], window.shape[axis], task.resampler.source(window).shape[axis])
        masked = task.mask.lengths(core, axis) if task.mask else ()
        kinds.setdefault((*whole, lengths, masked), []).append(place)
    return kinds


def _flop(core: Box, task: Predict) -> int:
    axes: Any = task.options.axes
    once = flop_of(core, axes=axes, layout=task.layout, network=task.network)
    return once * (len(FLIPS) if task.options.flips else 1)


def _computing(window: Box, source: Box, task: Predict) -> int:
    """Besides the voxels read: the weights, and the window, resampled and turned."""
    voxel = 1 if task.image.info.dtype == "uint8" else 4
    slab = 3 * 4 * SLAB * max(source.size // source.shape[0], window.size // window.shape[0])
    windows = window.size * voxel * (2 if "x" in task.options.axes else 1)  # one turned
    return task.network.weight_bytes + windows + slab


def _activations(window: Box, task: Predict) -> int:
    """Of one call of the network, on a CPU."""
    sides = sorted(window.shape)[-2:]
    tiles = requested_tiles("cpu", task.options.batch)
    return tiles * min(HOST_BYTES, task.network.activation_bytes(*sides))

"""What a block takes of a GPU's memory, before a voxel is read."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import Protocol

from volproc.grid.box import Box
from volproc.model.network import Network
from volproc.stages.inference.device_memory import device_itemsize
from volproc.stages.inference.tiling import Layout
from volproc.stages.predict.options import PredictOptions
from volproc.volume.resampling import GPU_SLAB_VOXELS, Resampling, Voxels

FUSING_BYTES = {"mean": 7, "weighted": 33, "max": 1, "union": 6, "majority": 6}
"""A voxel, on a device, besides the votes: sums of 16 or 64 bits, comparisons, and the result."""


GPU_LIBRARY_BYTES = 64 * 2**20
"""On a GPU besides: torch takes memory in pieces of 2 and 20 MiB, cuBLAS 8 or 32 MiB to work in."""


@dataclass(frozen=True)
class DeviceBytes:
    """Of a block on a GPU: while it waits, while it is computed, a call of a single tile besides,
    and the network's weights with what libraries take."""

    waiting: int
    computing: int
    call: int
    weights: int

    @property
    def alone(self) -> int:
        """What the block needs if no other one is in hand."""
        return self.computing + self.call + self.weights

    def in_hand(self, blocks: int) -> int:
        """What so many blocks in hand need, of which one is computed."""
        return self.alone + (blocks - 1) * self.waiting


class Votes(Protocol):
    """What votes are made from: the task of predict."""

    @property
    def image(self) -> Voxels:
        """The image."""

    @property
    def resampler(self) -> Resampling:
        """To the model's grid."""

    @property
    def layout(self) -> Layout:
        """The tiles."""

    @property
    def network(self) -> Network:
        """The network."""

    @property
    def options(self) -> PredictOptions:
        """Axes and fusion."""

    @property
    def outputs(self) -> Sized:
        """The classes that are written."""


def device_bytes(placed: Box, task: Votes) -> DeviceBytes:
    """GPU memory for the block at `placed` of the layout's grid, with the tiles of `task`.

    raw voxels ─▶ resampled, turned ─▶ votes ─▶ fused
    waiting       a call's activations          waiting to be written
    """
    axes, window = task.options.axes, task.layout.window(placed, task.options.axes)
    source = task.resampler.source(window)
    raw = source.size * device_itemsize(task.image.info.dtype)
    seen = window.size * (1 if task.image.info.dtype == "uint8" else 4)
    votes = placed.size * len(task.outputs) * len(axes)
    fused = placed.size * len(task.outputs)
    resampling = raw + seen + 4 * 4 * _slab_voxels(window, source)
    voting = seen * (2 if "x" in axes else 1) + votes
    fusing = votes + fused + FUSING_BYTES[task.options.fusion] * placed.size
    tile = [side + 2 * task.layout.halo for side in task.layout.tile]
    sides = sorted(map(min, tile, window.shape))[-2:]
    return DeviceBytes(
        max(raw, votes + fused),
        max(resampling, voting, fusing),
        task.network.activation_bytes(*sides),
        task.network.weight_bytes + GPU_LIBRARY_BYTES,
    )


def _slab_voxels(window: Box, source: Box) -> int:
    """The most voxels that are resampled at a time, before or after: at least a plane."""
    plane = max(source.size // source.shape[0], window.size // window.shape[0])
    return min(max(window.size, source.size), max(GPU_SLAB_VOXELS, plane))

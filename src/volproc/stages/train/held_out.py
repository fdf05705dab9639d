"""Regions that are held out, predicted as `volproc predict` does: its tiles, votes and fusion.

A region may be larger than memory: it is predicted block by block, and what is known of it and what
was answered is kept in files without a name, a byte of each voxel and class.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, each
from volproc.model.deferred_checks import deferring
from volproc.model.network import Network, Predict
from volproc.stages.inference.batches import HOST_BYTES, batch_limit
from volproc.stages.inference.device_link import link_to
from volproc.stages.inference.layout import lay_out
from volproc.stages.inference.tiling import Layout
from volproc.stages.inference.votes import flop_of, vote
from volproc.stages.train.pairs import LabelledImage, Truth, slab_depth
from volproc.stages.train.targets import Bytes
from volproc.volume.kinds import refuse_not_finite
from volproc.volume.metadata import itemsize
from volproc.volume.resampling import Resampling, resampled, resampling_to
from volproc.volume.store import Volume

Votes = npt.NDArray[np.uint8]
"""Probabilities times 255, (classes, axes, z, y, x)."""
COUNTING_BYTES = 2**29
"""Of a block whose voxels, surfaces and components are counted."""
TRUE, KNOWN = np.uint8(1), np.uint8(2)
"""Bits of a voxel: it is of the class; somebody said so, or that it is not."""


@dataclass(frozen=True)
class HeldOut:
    """What of an image a network never learns from; the network sees what lies around it, too."""

    labelled: LabelledImage
    network: Network
    """Described, without weights."""
    axes: str
    """Those that are looked along, such as "zyx"."""

    @property
    def box(self) -> Box:
        """The voxels of the model's grid that are scored."""
        return self.labelled.box

    @property
    def blocks(self) -> Iterator[Box]:
        """The region as it is predicted: a tile at a time, or what is in the region of it."""
        layout, box = self._layout, self.box
        first = each(lambda a, o, t: (a - o) // t * t + o, box.start, layout.offset, layout.tile)
        for block in Tiling(each(lambda b, a: b - a, box.stop, first), layout.tile):
            yield block.core.shift(first).clip(box)

    def truths(self, box: Box) -> Iterator[tuple[Box, Sequence[Truth]]]:
        """What is known of each class in `box`, a slab at a time."""
        for slab in box.slabs(slab_depth(box)):
            yield slab, self.labelled.truths(slab)

    @cached_property
    def known(self) -> Bytes:
        """Of each class and voxel the bits TRUE and KNOWN, (classes, z, y, x)."""
        known = scratch((len(self.labelled.targets), *self.box.shape))
        for block in self.blocks:
            for slab, truths in self.truths(block):
                index = slab.within(self.box.start).slices
                for own, truth in zip(known, truths, strict=True):
                    own[index] = TRUE * (truth.target > 127) | KNOWN * (truth.weight > 0)
        return known

    @property
    def peak_bytes(self) -> int:
        """Memory of its largest block while it is predicted or counted, an upper estimate."""
        block = max(self.blocks, key=lambda one: one.size)
        window, network = self._layout.window(block, self.axes), self.network
        read = self._resampling.source(window).size * itemsize(self.labelled.source.image.dtype)
        votes = len(network.classes) * len(self.axes) * block.size
        sides = sorted(window.shape)[-2:]
        activations = min(HOST_BYTES, network.activation_bytes(*sides))
        return read + 4 * 2 * window.size + 2 * votes + activations + COUNTING_BYTES

    @property
    def flop(self) -> int:
        """Arithmetic of predicting it."""
        axes: Any = self.axes
        how = {"axes": axes, "layout": self._layout, "network": self.network}
        return sum(flop_of(block, **how) for block in self.blocks)

    def require_readable(self) -> None:
        """VolumeError where labels or grey values are none: before anything is trained."""
        if np.dtype(self.labelled.source.image.dtype).kind == "f":
            for block in self.blocks:
                self._values(block)
        _ = self.known

    @property
    def shows_something(self) -> bool:
        """Whether some voxel is known to be of a class."""
        of_class = TRUE | KNOWN
        return any((plane == of_class).any() for own in self.known for plane in own)

    def _values(self, block: Box) -> npt.NDArray[Any]:
        """The image's voxels under the windows of a block's tiles."""
        image, resampling = Volume(self.labelled.source.image), self._resampling
        source = resampling.source(self._layout.window(block, self.axes))
        values = image.read(source, level=resampling.level)
        refuse_not_finite(values, what=f"{image.info.url}, voxels {source},")
        return values

    def votes(self, predict: Predict, device: str, block: Box) -> Votes:
        """The votes of a block."""
        window, resampling = self._layout.window(block, self.axes), self._resampling
        values = self._values(block)
        link = link_to(device)
        with torch.inference_mode(), deferring() as checks:
            votes = vote(
                resampled(link.to_device(values)(), resampling, window),
                origin=window,
                core=block,
                axes=self.axes,  # type: ignore[arg-type]
                outputs=range(len(self.labelled.targets)),
                layout=self._layout,
                predict=predict,
                constants=self.labelled.normalisation,
                limit=batch_limit(self.network, device, requested=0),
            )
        checks.require(link.to_host(checks.numbers(votes.device))().tolist())
        return link.to_host(votes)()

    @cached_property
    def _resampling(self) -> Resampling:
        return resampling_to(self.labelled.source.image, self.labelled.voxel_nm)

    @cached_property
    def _layout(self) -> Layout:
        network = self.network
        return lay_out(
            self._resampling.shape_out,
            halo=network.halo,
            stride=network.stride,
            slices_in=network.slices_in,
            slices_out=network.slices_out,
            box=self.box,
            classes=len(network.classes),
        )


def scratch(shape: tuple[int, ...]) -> Bytes:
    """An array of 0 in a file that is gone with the array: memory is its cache only."""
    with tempfile.TemporaryFile(prefix="volproc-") as file:
        if hasattr(os, "posix_fallocate"):  # else a full disk ends the process, without a word
            os.posix_fallocate(file.fileno(), 0, prod(shape))
        return np.memmap(file, np.uint8, "w+", shape=shape)

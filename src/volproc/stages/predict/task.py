"""What predict does to one block: read, resample, vote, fuse, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from volproc.config import PredictOptions
from volproc.fusion import fuse
from volproc.grid.blocks import Block
from volproc.grid.box import Box, Shape
from volproc.model.network import Constants, Network
from volproc.stages.predict.asking import asked
from volproc.stages.predict.device import device_for, link_to
from volproc.stages.predict.infer import load_once, vote
from volproc.stages.predict.portions import portion_for
from volproc.stages.predict.restriction import Mask
from volproc.stages.predict.skip import Emptiness
from volproc.stages.predict.tiling import Layout
from volproc.volume.kinds import refuse_not_finite
from volproc.volume.resample import Resampling, resampled
from volproc.volume.store import Volume

Votes = npt.NDArray[np.uint8]
"""Probabilities times 255, of shape (axes, z, y, x)."""

Coming = Callable[[], torch.Tensor]
"""Voxels on their way to the device: waits for them."""


@dataclass(frozen=True)
class Loaded:
    """A block on its way to the device, and which of its voxels are inside the mask: None, all."""

    values: Coming
    inside: npt.NDArray[np.bool_] | None


@dataclass(frozen=True)
class Answered:
    """A block on its way back from the device: each waits for its part."""

    fused: Callable[[], npt.NDArray[np.uint8]]
    votes: Callable[[], Votes] | None


@dataclass(frozen=True)
class Predict:
    """Task: one block of the prediction, and of the votes.

    Their first voxel is at `origin` of the layout's grid; nothing is predicted outside the mask.
    """

    image: Volume
    output: Volume
    votes: Volume | None
    way: Resampling
    layout: Layout
    constants: Constants
    network: Network
    options: PredictOptions
    empty: Emptiness | None = None
    mask: Mask | None = None
    origin: Shape = (0, 0, 0)

    def placed(self, core: Box) -> Box:
        """The voxels of the layout's grid that `core` of the output is."""
        return core.shift(self.origin)

    def load(self, block: Block) -> Loaded | None:
        """The image's voxels under the block's window, on their way to the device.

        From the level that is read; None if it is empty, or outside the mask.
        """
        inside = self.mask.read(self.placed(block.core)) if self.mask else None
        if inside is not None and not inside.any():
            return None
        window = self.layout.window(self.placed(block.core), self.options.axes)
        if self.empty and self.empty.holds(window, self.image):
            return None
        source = self.way.source(window)
        values = self.image.read(source, level=self.way.level)
        refuse_not_finite(values, what=f"{self.image.info.url}, voxels {source},")
        coming = link_to(device_for(self.options.device)).up(values)
        return Loaded(coming, None if inside is None or inside.all() else inside)

    def compute(self, block: Block, loaded: Loaded | None) -> Answered | None:
        """The fused block and, if they are kept, its votes, on their way back; None if empty."""
        if loaded is None:
            return None
        votes = self.look(block, loaded)
        link = link_to(device_for(self.options.device))
        return Answered(link.down(self.fused(votes)), link.down(votes) if self.votes else None)

    @torch.inference_mode()
    def look(self, block: Block, loaded: Loaded) -> torch.Tensor:
        """uint8 votes of every axis, in the order of `options.axes`, on the device.

        Outside the mask they are 0, and so is what any fusion makes of them.
        """
        device, core = device_for(self.options.device), self.placed(block.core)
        window = self.layout.window(core, self.options.axes)
        votes = vote(
            resampled(loaded.values(), self.way, window),
            origin=window,
            core=core,
            axes=self.options.axes,  # type: ignore[arg-type]
            layout=self.layout,
            predict=asked(
                load_once(self.network, device, compiled=self.options.compiled),
                flips=self.options.flips,
                keep=self.layout.slices_out,
            ),
            constants=self.constants,
            portion=portion_for(self.network, device, wanted=self.options.batch),
        )
        if loaded.inside is not None:
            votes *= torch.from_numpy(loaded.inside.view(np.uint8)).to(votes.device)
        return votes

    def fused(self, votes: torch.Tensor) -> torch.Tensor:
        """One answer from the votes, where they are."""
        options = self.options
        how: dict[str, Any] = {
            "mode": options.fusion,
            "threshold": options.threshold,
            "weights": options.axis_weights,
        }
        if votes.is_cuda:
            return fuse(votes, **how, xp=torch)
        here, out = votes.numpy(), np.empty(votes.shape[1:], np.uint8)
        for z in range(len(out)):  # plane by plane it stays in the cache: 2.5 times as fast
            out[z] = fuse(here[:, z], **how)
        return torch.from_numpy(out)

    def store(self, block: Block, result: Answered | None) -> dict[str, Any]:
        """Write the fused block, and the votes as channels x, y, z; of an empty one, zeros."""
        nothing = self.nothing(block)
        fused = result.fused() if result else nothing[0]
        self.output.write(block.core, fused)
        if self.votes:
            votes = result.votes() if result and result.votes else nothing
            self.votes.write(block.core, votes[::-1])  # axes are named zyx, zy, zx or yx
        return {
            "voxels": int(fused.size),
            "sum": int(fused.sum(dtype=np.int64)),
            "values": [int(fused.min()), int(fused.max())],
            "skipped": int(result is None),
        }

    def nothing(self, block: Block) -> Votes:
        """Votes of 0 for all of a block; they take no memory."""
        return np.broadcast_to(np.uint8(0), (len(self.options.axes), *block.core.shape))

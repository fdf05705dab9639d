"""What predict does to one block: read, resample, vote, fuse, write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.config import PredictOptions
from volproc.errors import VolumeError
from volproc.fusion import fuse
from volproc.grid.blocks import Block
from volproc.model.network import Constants, Network
from volproc.stages.predict.asking import asked
from volproc.stages.predict.infer import batch_for, device_for, load_once, vote
from volproc.stages.predict.skip import Emptiness
from volproc.stages.predict.tiling import Layout
from volproc.volume.resample import Resampling, as_tensor, resampled
from volproc.volume.store import Volume

Votes = npt.NDArray[np.uint8]
"""Probabilities times 255, of shape (axes, z, y, x)."""


@dataclass(frozen=True)
class Predict:
    """Task: one block of the prediction, and of the votes."""

    image: Volume
    output: Volume
    votes: Volume | None
    way: Resampling
    layout: Layout
    constants: Constants
    network: Network
    options: PredictOptions
    empty: Emptiness | None = None

    def load(self, block: Block) -> npt.NDArray[Any] | None:
        """The image's voxels under the block's window, at the level that is read; None if empty."""
        window = self.layout.window(block.core, self.options.axes)
        if self.empty and self.empty.holds(window, self.image):
            return None
        source = self.way.source(window)
        values = self.image.read(source, level=self.way.level)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise VolumeError(
                f"{self.image.info.url} holds NaN or infinite voxels in {source}; "
                "replace them before predicting"
            )
        return values

    def compute(self, block: Block, loaded: npt.NDArray[Any] | None) -> Votes | None:
        """uint8 votes of every axis, in the order of `options.axes`; None if empty."""
        if loaded is None:
            return None
        device = device_for(self.options.device)
        window = self.layout.window(block.core, self.options.axes)
        return vote(
            resampled(as_tensor(loaded).to(device), self.way, window),
            origin=window,
            core=block.core,
            axes=self.options.axes,  # type: ignore[arg-type]
            layout=self.layout,
            predict=asked(
                load_once(self.network, device),
                flips=self.options.flips,
                keep=self.layout.slices_out,
            ),
            constants=self.constants,
            batch=batch_for(self.options),
        )

    def store(self, block: Block, result: Votes | None) -> dict[str, int]:
        """Write the fused block, and the votes as channels x, y, z; of an empty one, zeros."""
        options = self.options
        votes = self.nothing(block) if result is None else result
        fused = fuse(
            votes, mode=options.fusion, threshold=options.threshold, weights=options.axis_weights
        )
        self.output.write(block.core, fused)
        if self.votes:
            order = [options.axes.index(name) for name in self.votes.info.channels]
            self.votes.write(block.core, votes[order])
        return {
            "voxels": int(fused.size),
            "sum": int(fused.sum(dtype=np.int64)),
            "skipped": int(result is None),
        }

    def nothing(self, block: Block) -> Votes:
        """Votes of 0 for all of a block; they take no memory."""
        return np.broadcast_to(np.uint8(0), (len(self.options.axes), *block.core.shape))

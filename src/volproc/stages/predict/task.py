"""What predict does to one block: read, resample, vote, fuse, write.

    image ─load─▶ voxels under the window ─compute─▶ resampled ─▶ votes (3 axes) ─▶ fused ─store─▶

On a GPU the copies there and back run while other blocks are computed: `load` returns before its
voxels are on the device, `compute` before anything of it is computed, and `store` fetches what is
written: the prediction, the votes if they are kept, and a number a call that shows NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from volproc.config.cluster import GPU_THREADS
from volproc.fusion import fuse
from volproc.grid.blocks import Block
from volproc.grid.box import Box, Shape
from volproc.lazy import lazy
from volproc.model.deferred_checks import DeferredChecks, deferring
from volproc.model.device import require_planned
from volproc.model.network import Constants, Network
from volproc.stages.inference.batches import batch_limit
from volproc.stages.inference.device_link import link_to
from volproc.stages.inference.device_memory import Upload, capacity, room_for_calls, within_memory
from volproc.stages.inference.tiling import Layout
from volproc.stages.inference.tta import augmented
from volproc.stages.inference.votes import load_once, vote
from volproc.stages.predict.empty_blocks import EmptyBlockRule
from volproc.stages.predict.gpu_memory import device_bytes
from volproc.stages.predict.options import PredictOptions
from volproc.stages.predict.parts import cuts_tiles, in_parts
from volproc.stages.predict.restriction import Mask
from volproc.volume.kinds import refuse_not_finite
from volproc.volume.resampling import Resampling, Voxels, resampled
from volproc.volume.store import Volume

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

Votes = npt.NDArray[np.uint8]
"""Probabilities times 255, of shape (classes, axes, z, y, x)."""

PendingVoxels: TypeAlias = "Callable[[], torch.Tensor]"
"""Voxels on their way to the device: waits for them."""


@dataclass(frozen=True)
class Loaded:
    """A block on its way to the device, and which of its voxels are inside the mask: None, all."""

    values: PendingVoxels
    inside: npt.NDArray[np.bool_] | None
    host: npt.NDArray[Any]
    """The same voxels on the host."""


@dataclass(frozen=True)
class PendingBlock:
    """A block that is computed on the device: each call waits, and fetches its part."""

    fused: Callable[[], npt.NDArray[np.uint8]]
    votes: Callable[[], Votes] | None
    numbers: Callable[[], npt.NDArray[np.float32]]
    """What is to be checked before anything is written."""
    checks: DeferredChecks


@dataclass(frozen=True)
class Predict:
    """Task: one block of the prediction, and of the votes.

    Their first voxel is at `origin` of the layout's grid; nothing is predicted outside the mask.
    `outputs` are the network's classes that are written, by their number.
    """

    image: Voxels
    output: Volume
    votes: Volume | None
    resampler: Resampling
    layout: Layout
    constants: Constants
    network: Network
    options: PredictOptions
    empty: EmptyBlockRule | None = None
    mask: Mask | None = None
    origin: Shape = (0, 0, 0)
    outputs: tuple[int, ...] = (0,)
    device: str = "cpu"
    """Where the network runs, as planned: "cuda" is the GPU that the worker sees."""

    def placed(self, core: Box) -> Box:
        """The voxels of the layout's grid that `core` of the output is."""
        return core.shift(self.origin)

    def load(self, block: Block) -> Loaded | None:
        """The image's voxels under the block's window; None if there is nothing in them, or the
        block is outside the mask."""
        require_planned(self.device)
        inside = self.mask.read(self.placed(block.core)) if self.mask else None
        if inside is not None and not inside.any():
            return None
        window = self.layout.window(self.placed(block.core), self.options.axes)
        if self.empty and self.empty.is_empty(window, self.image):
            return None
        source = self.resampler.source(window)
        values = self.image.read(source, level=self.resampler.level)
        refuse_not_finite(values, what=f"{self.image.info.url}, voxels {source},")
        cut = None if inside is None or inside.all() else inside
        return Loaded(self._pending(block, values), cut, values)

    def _pending(self, block: Block, values: npt.NDArray[Any]) -> PendingVoxels:
        """The voxels for the device: on a GPU uploaded ahead if there is room for them."""
        if self.device == "cpu":
            return link_to("cpu").to_device(values)
        return Upload(values, keep=device_bytes(self.placed(block.core), self).alone)

    def compute(self, block: Block, loaded: Loaded | None) -> PendingBlock | None:
        """The fused block and, if they are written, its votes; None if it is empty."""
        if loaded is None:
            return None
        with deferring() as checks:
            votes = self.vote(block, loaded)
        pending = within_memory(lambda: self._pending_block(votes, checks))
        # where a GPU has no room for that, the host has, and finds the same bits
        return pending or self._pending_block(votes.cpu(), checks)

    def _pending_block(self, votes: torch.Tensor, checks: DeferredChecks) -> PendingBlock:
        """What is to be written, and checked before, on the votes' device."""
        fused = _to_host(self.fused_classes(votes))
        written = _to_host(votes) if self.votes else None
        return PendingBlock(fused, written, _to_host(checks.numbers(votes.device)), checks)

    def vote(self, block: Block, loaded: Loaded, *, exact: bool = False) -> torch.Tensor:
        """uint8 votes of every class and axis, in the order of `options.axes`, on the device.

        Of a GPU with too little memory they come in parts, on the host. Outside the mask they are
        0, and so is what any fusion makes of them. `exact`: of a network in float32, also on a GPU.
        """
        core = self.placed(block.core)
        if self.device == "cpu":
            return self._vote_at_once(core, loaded, exact)
        return in_parts(
            (core, self.layout),
            partial(self._vote_part, core, loaded, exact),
            fits=self._fits,
            cut_tiles=cuts_tiles(self.layout, self.network),
        )

    def _fits(self, core: Box, layout: Layout) -> bool:
        """Whether the GPU has room for `core` with the tiles of `layout`, by estimate."""
        return device_bytes(core, replace(self, layout=layout)).alone <= capacity()

    def _vote_part(
        self, whole: Box, loaded: Loaded, exact: bool, core: Box, layout: Layout
    ) -> torch.Tensor:
        """The votes of `core`, a part of a block, by the tiles of `layout`."""
        task = replace(self, layout=layout)
        if core == whole:
            return task._vote_at_once(core, loaded, exact)
        first, part = (
            self.resampler.source(tiles.window(box, self.options.axes))
            for tiles, box in ((self.layout, whole), (layout, core))
        )
        host = loaded.host[part.within(first.start).slices]
        inside = None if loaded.inside is None else loaded.inside[core.within(whole.start).slices]
        there = Loaded(link_to(self.device).to_device(host), inside, host)
        return task._vote_at_once(core, there, exact)

    def _vote_at_once(self, core: Box, loaded: Loaded, exact: bool) -> torch.Tensor:
        options = self.options
        window = self.layout.window(core, options.axes)
        compiled = options.compiled and not exact
        predict = load_once(self.network, self.device, compiled=compiled, exact=exact)
        votes = vote(
            resampled(loaded.values(), self.resampler, window),
            origin=window,
            core=core,
            axes=options.axes,  # type: ignore[arg-type]
            outputs=self.outputs,
            layout=self.layout,
            predict=augmented(predict, flips=options.flips, keep=self.layout.slices_out),
            constants=self.constants,
            limit=batch_limit(
                self.network, self.device, requested=options.batch, room=self._call_room(core)
            ),
        )
        if loaded.inside is not None:
            votes *= link_to(self.device).to_device(loaded.inside.view(np.uint8))()
        return votes

    def _call_room(self, core: Box) -> int | None:
        """Bytes of a GPU for calls of the network beside a block, and those in hand."""
        if self.device == "cpu":
            return None
        need = device_bytes(core, self)
        ahead = (GPU_THREADS - 1) * need.waiting
        return room_for_calls(taken=need.computing + need.weights, ahead=ahead)

    def fused_classes(self, votes: torch.Tensor) -> torch.Tensor:
        """One value a voxel: (z, y, x), of several classes (classes, z, y, x)."""
        if len(votes) == 1:
            return self.fused(votes[0])
        found = torch.empty((len(votes), *votes.shape[2:]), dtype=votes.dtype, device=votes.device)
        for n, of_class in enumerate(votes):
            found[n] = self.fused(of_class)
        return found

    def fused(self, votes: torch.Tensor) -> torch.Tensor:
        """One value a voxel from the votes (axes, z, y, x) of one class, on their device."""
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

    def store(self, block: Block, result: PendingBlock | None) -> dict[str, Any]:
        """Write the fused block, and the votes as channels x, y, z; zeros for an empty one."""
        fused = self.written(block, result)
        votes = result.votes() if result and result.votes else self.zeros(block)
        self.output.write(block.core, fused)
        if self.votes:
            # axes are named zyx, zy, zx or yx; of one class nothing is copied
            self.votes.write(block.core, votes[:, ::-1].reshape(-1, *block.core.shape))
        return {
            "voxels": int(fused.size),
            "sum": int(fused.sum(dtype=np.int64)),
            "values": [int(fused.min()), int(fused.max())],
            **self._values_of_classes(fused),
            "skipped": int(result is None),
        }

    def _values_of_classes(self, fused: npt.NDArray[np.uint8]) -> dict[str, Any]:
        """The lowest and highest voxel of each class, where there are several."""
        if len(self.outputs) == 1:
            return {}
        return {"class_values": [[int(one.min()), int(one.max())] for one in fused]}

    def written(self, block: Block, result: PendingBlock | None) -> npt.NDArray[np.uint8]:
        """The voxels of the prediction that are a block, as they are written.

        ModelError where the network predicted no numbers.
        """
        if result is None:
            nothing: npt.NDArray[np.uint8] = self.zeros(block)[self._one_or_all, 0]
            return nothing
        result.checks.require(result.numbers().tolist())
        return result.fused()

    @property
    def _one_or_all(self) -> Any:
        """Of an axis of classes: a single one has none."""
        return 0 if len(self.outputs) == 1 else slice(None)

    def zeros(self, block: Block) -> Votes:
        """Votes of 0 for all of a block; they take no memory."""
        shape = (len(self.outputs), len(self.options.axes), *block.core.shape)
        return np.broadcast_to(np.uint8(0), shape)


def _to_host(values: torch.Tensor) -> Callable[[], npt.NDArray[Any]]:
    return link_to(values.device.type).to_host(values)

"""A block's votes: viewed along each axis, predicted tile by tile, rounded to uint8."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Box
from volproc.lazy import lazy
from volproc.model.network import Constants, Network, Predict
from volproc.stages.inference.batches import BatchLimit, in_batches
from volproc.stages.inference.tiling import Axis, Layout, Tile, along, oriented

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

PIECE = 64
"""Voxels of a side that are turned at a time."""

_loaded: dict[tuple[str, str, bool, bool], Predict] = {}
_loading = threading.Lock()


def load_once(
    network: Network, device: str, *, compiled: bool = False, exact: bool = False
) -> Predict:
    """The network on `device`, loaded (and compiled) once per process; `exact`: `Network.load`."""
    with _loading:
        key = (network.digest, device, compiled, exact)
        if key not in _loaded:
            predict = network.load(device, exact=exact)
            _loaded[key] = _compiled(predict) if compiled else predict
        return _loaded[key]


def _compiled(predict: Predict) -> Predict:
    """The network compiled; of our own the module alone, as the code around it is not torch's."""
    from volproc.model.predictor import Predictor
    from volproc.model.whole_planes import WholePlanes

    if isinstance(predict, Predictor):
        if next(predict.module.parameters()).is_cuda:  # calls of many sizes; on a CPU of few
            predict.module = WholePlanes(predict.module)
        else:
            predict.module.compile()
        return predict
    found: Predict = torch.compile(predict)
    return found


def vote(
    values: torch.Tensor,
    *,
    origin: Box,
    core: Box,
    axes: Iterable[Axis],
    outputs: Sequence[int],
    layout: Layout,
    predict: Predict,
    constants: Constants,
    limit: BatchLimit,
) -> torch.Tensor:
    """Each axis' probability times 255, rounded: uint8 of shape (outputs, axes, *core.shape).

    `outputs` are the classes that count, by their number. `values` are the voxels of the box
    `origin`, on the network's device; so are the votes.
    """
    axes = tuple(axes)
    shape = (len(outputs), len(axes), *core.shape)
    votes = torch.empty(shape, dtype=torch.uint8, device=values.device)

    def run(batch: list[Tile], *, viewed: torch.Tensor, into: torch.Tensor) -> None:
        answers = predict(_planes(viewed, batch, origin), constants, batch[0].requested)
        if answers.is_cuda:  # of all tiles in one go: each operation is launched by this thread
            answers = answers.mul(255).round_().to(torch.uint8)
        for one, classes in zip(batch, answers, strict=True):
            for place, number in zip(into, outputs, strict=True):
                _store(classes[number], one, place, core)

    with torch.inference_mode():
        for n, axis in enumerate(axes):
            in_batches(
                layout.tiles(core, axis),
                partial(run, viewed=view_along(values, axis), into=votes[:, n]),
                limit=limit,
                halo=layout.halo,
                stride=layout.stride,
            )
    return votes


def flop_of(core: Box, *, axes: Iterable[Axis], layout: Layout, network: Network) -> int:
    """Arithmetic of the votes of `core`."""
    total = 0
    for axis in axes:
        for one in layout.tiles(core, axis):
            _, *read = along(one.axis, one.window.shape)
            _, high, wide = along(one.axis, one.output.shape)
            total += network.flop(read[0], read[1], (high, wide))
    return total


def view_along(values: torch.Tensor, axis: Axis) -> torch.Tensor:
    """(z, y, x) voxels as (depth, height, width) along `axis`, the rows of each plane in one piece.

    A view along z and y. Along x a copy: a tile of a few planes would read one voxel of every cache
    line, and the next tile the lines again (on a CPU 5 times as much memory traffic).
    """
    viewed = oriented(values, axis)
    if axis != "x":
        return viewed
    if values.is_cuda:
        return viewed.contiguous()
    turned = torch.empty(viewed.shape, dtype=values.dtype)
    _turn(values.numpy(), turned.numpy())
    return turned


def _planes(viewed: torch.Tensor, batch: list[Tile], origin: Box) -> torch.Tensor:
    """Planes (N, depth, height, width); those of a single tile are not copied."""
    views = [viewed[along(one.axis, one.window.within(origin.start).slices)] for one in batch]
    return views[0][None] if len(views) == 1 else torch.stack(views)


def _store(probabilities: torch.Tensor, one: Tile, votes: torch.Tensor, core: Box) -> None:
    """Put the part of a tile's output that lies in the core where it belongs, times 255.

    A GPU's probabilities are votes already.
    """
    mine = one.output.clip(core)
    there = oriented(votes[mine.within(core.start).slices], one.axis)
    inside = probabilities[along(one.axis, mine.within(one.output.start).slices)]
    if inside.is_cuda:
        there.copy_(inside)
    else:
        quantise(inside, there)


def quantise(probabilities: torch.Tensor, out: torch.Tensor) -> None:
    """`probabilities` times 255, rounded, into the uint8 `out` of the same shape, any strides."""
    _quantise(probabilities.numpy(), out.numpy())


@compiled
def _turn(values: npt.NDArray[np.uint8], turned: npt.NDArray[np.uint8]) -> None:
    """turned[x, z, y] = values[z, y, x], in squares that stay in the cache while they are turned.

    values[z]  y ▲ ┌──┬──┐      turned[:, z]  x ▲ ┌──┬──┐
                 │ │2 │4 │                      │ │3 │4 │     rows of a square are read in
                 │ ├──┼──┤                      │ ├──┼──┤     order, columns are written;
                 │ │1 │3 │                      │ │1 │2 │     each line is fetched once
                 └─┴──┴──┴▶ x                   └─┴──┴──┴▶ y
    """
    depth, height, width = values.shape
    for z in range(depth):
        for y in range(0, height, PIECE):
            for x in range(0, width, PIECE):
                for a in range(x, min(x + PIECE, width)):
                    for b in range(y, min(y + PIECE, height)):
                        turned[a, z, b] = values[z, b, a]


@compiled
def _quantise(probabilities: npt.NDArray[np.float32], out: npt.NDArray[np.uint8]) -> None:
    depth, height, width = out.shape
    # the network's output has its channels (depth) last in memory: the innermost loop follows them
    for h in range(height):
        for w in range(width):
            for d in range(depth):
                out[d, h, w] = np.rint(probabilities[d, h, w] * np.float32(255))

"""A block's votes: seen along each axis, in large tiles, answered in uint8."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from volproc.compiled import compiled
from volproc.grid.box import Box
from volproc.model.network import Constants, Network, Predict
from volproc.model.predictor import Predictor
from volproc.stages.predict.batches import Batch, in_batches
from volproc.stages.predict.orientation import Axis, along, oriented
from volproc.stages.predict.tiling import Layout, Tile

PIECE = 64
"""Voxels of a side that are turned at a time."""

_loaded: dict[tuple[str, str, bool], Predict] = {}
_loading = threading.Lock()


def load_once(network: Network, device: str, *, compiled: bool = False) -> Predict:
    """The network on `device`, loaded (and compiled) once per process."""
    with _loading:
        key = (network.digest, device, compiled)
        if key not in _loaded:
            predict = network.load(device)
            _loaded[key] = _compiled(predict) if compiled else predict
        return _loaded[key]


def _compiled(predict: Predict) -> Predict:
    """The network compiled; of our own the module alone, as what is around it is no torch."""
    if isinstance(predict, Predictor):
        predict.module.compile()
        return predict
    found: Predict = torch.compile(predict)
    return found


@torch.inference_mode()
def vote(
    values: torch.Tensor,
    *,
    origin: Box,
    core: Box,
    axes: Iterable[Axis],
    layout: Layout,
    predict: Predict,
    constants: Constants,
    portion: Batch,
) -> torch.Tensor:
    """Each axis' probability times 255, rounded: uint8 of shape (axes, *core.shape).

    `values` are the voxels of the box `origin`, on the device the network is on; so is the answer.
    """
    kinds = tuple(axes)
    votes = torch.empty((len(kinds), *core.shape), dtype=torch.uint8, device=values.device)

    def answer(passes: list[Tile], *, seen: torch.Tensor, into: torch.Tensor) -> None:
        answers = predict(_planes(seen, passes, origin), constants, passes[0].requested)
        for one, probabilities in zip(passes, answers, strict=True):
            _keep(probabilities, one, into, core)

    for n, axis in enumerate(kinds):
        in_batches(
            layout.tiles(core, axis),
            partial(answer, seen=facing(values, axis), into=votes[n]),
            portion=portion,
            halo=layout.halo,
            stride=layout.stride,
        )
    return votes


def facing(values: torch.Tensor, axis: Axis) -> torch.Tensor:
    """(z, y, x) voxels as (depth, height, width) along `axis`, each plane in one piece.

    A view along z and y. Along x a copy: of the voxels read for a pass of a few planes all others
    in their cache lines would be read again for the next (on a CPU 5 times as much to wait for).
    """
    seen = oriented(values, axis)
    if axis != "x":
        return seen
    if values.is_cuda:
        return seen.contiguous()
    turned = torch.empty(seen.shape, dtype=values.dtype)
    _turn(values.numpy(), turned.numpy())
    return turned


def _planes(seen: torch.Tensor, passes: list[Tile], origin: Box) -> torch.Tensor:
    """Planes (N, depth, height, width); those of a single pass are not copied."""
    views = [seen[along(p.axis, p.window.within(origin.start).slices)] for p in passes]
    return views[0][None] if len(views) == 1 else torch.stack(views)


def _keep(probabilities: torch.Tensor, one: Tile, votes: torch.Tensor, core: Box) -> None:
    """Put the part of a pass' answer that lies in the core where it belongs, times 255."""
    mine = one.answer.clip(core)
    there = oriented(votes[mine.within(core.start).slices], one.axis)
    quantise(probabilities[along(one.axis, mine.within(one.answer.start).slices)], there)


def quantise(probabilities: torch.Tensor, out: torch.Tensor) -> None:
    """`probabilities` times 255, rounded, into the uint8 `out` of the same shape, any strides."""
    if out.is_cuda:
        out.copy_(probabilities.mul(255).round_())
    else:
        _quantise(probabilities.numpy(), out.numpy())


@compiled
def _turn(values: npt.NDArray[np.uint8], turned: npt.NDArray[np.uint8]) -> None:
    """turned[x, z, y] = values[z, y, x], a piece at a time that stays in the cache."""
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
    for h in range(height):
        for w in range(width):
            for d in range(depth):
                out[d, h, w] = np.rint(probabilities[d, h, w] * np.float32(255))

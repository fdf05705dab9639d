"""A block's votes: resampled once, seen along each axis, answered in uint8."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import groupby, islice

import numpy as np
import numpy.typing as npt
import torch

from volproc.config import PredictOptions
from volproc.errors import ModelError
from volproc.grid.box import Box
from volproc.model.network import Constants, Network, Predict
from volproc.stages.predict.orientation import Axis, along, oriented
from volproc.stages.predict.tiling import Layout, Pass

_loaded: dict[tuple[str, str], Predict] = {}
_loading = threading.Lock()


def load_once(network: Network, device: str) -> Predict:
    """The network on `device`, loaded once per process."""
    with _loading:
        key = (network.digest, device)
        if key not in _loaded:
            _loaded[key] = network.load(device)
        return _loaded[key]


def vote(
    values: torch.Tensor,
    *,
    origin: Box,
    core: Box,
    axes: Iterable[Axis],
    layout: Layout,
    predict: Predict,
    constants: Constants,
    batch: int,
) -> npt.NDArray[np.uint8]:
    """Each axis' probability times 255, rounded: uint8 of shape (axes, *core.shape).

    `values` are the voxels of the box `origin`, on the device the network is on.
    """
    kinds = tuple(axes)
    votes = torch.empty((len(kinds), *core.shape), dtype=torch.uint8, device=values.device)
    for n, axis in enumerate(kinds):
        for passes in _batches(layout.passes(core, axis), batch):
            seen = torch.stack([_seen(values, one, origin) for one in passes])
            answers = answer(predict, seen, constants)
            for one, planes in zip(passes, answers, strict=True):
                _keep(planes, one, votes[n], core)
    return votes.cpu().numpy()


@torch.inference_mode()
def answer(predict: Predict, planes: torch.Tensor, constants: Constants) -> torch.Tensor:
    """uint8 probabilities (N, slices_out, H, W) for raw planes (N, slices_in, H, W)."""
    return predict(planes, constants).mul_(255).round_().to(torch.uint8)


def batch_for(options: PredictOptions) -> int:
    """Tiles in one call of the network."""
    return options.batch or (8 if device_for(options.device) == "cuda" else 1)


def device_for(wanted: str) -> str:
    """Either "cuda" or "cpu"; ModelError if a GPU is asked for and none is there."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            '[predict] device = "cuda", but torch finds no GPU here; take "auto" or "cpu"'
        )
    return wanted


def _batches(passes: Iterable[Pass], most: int) -> Iterator[list[Pass]]:
    """Consecutive passes of one shape, up to `most` at a time."""
    for _, alike in groupby(passes, key=lambda one: one.window.shape):
        while some := list(islice(alike, most)):
            yield some


def _seen(values: torch.Tensor, one: Pass, origin: Box) -> torch.Tensor:
    return oriented(values[one.window.within(origin.start).slices], one.axis)


def _keep(planes: torch.Tensor, one: Pass, votes: torch.Tensor, core: Box) -> None:
    """Put the part of a pass' answer that lies in the core where it belongs."""
    _, height, width = along(one.axis, one.answer.within(one.window.start).slices)
    mine = one.answer.clip(core)
    here = along(one.axis, mine.within(one.answer.start).slices)
    there = along(one.axis, mine.within(core.start).slices)
    oriented(votes, one.axis)[there] = planes[:, height, width][here]

"""A block's votes: resampled once, seen along each axis, answered in uint8."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import groupby, islice, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

from volproc.config import PredictOptions
from volproc.errors import ModelError
from volproc.grid.box import Box
from volproc.model.normalise import Normalisation
from volproc.model.weights import load_model
from volproc.stages.predict.orientation import Axis, along, oriented
from volproc.stages.predict.tiling import Layout, Pass

_models: dict[tuple[str, str, str], torch.nn.Module] = {}
_loading = threading.Lock()


def network(folder: str, *, digest: str, device: str) -> torch.nn.Module:
    """The model in `folder` on `device`, loaded once per process."""
    with _loading:
        key = (folder, digest, device)
        if key not in _models:
            module, card = load_model(Path(folder))
            if card.weights_sha256 != digest:
                raise ModelError(f"the model {folder} changed after the run was planned; run again")
            folded = without_batch_norm(module).to(device)
            # torch declares this overload for tensors only, though modules have it
            _models[key] = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return _models[key]


def without_batch_norm(module: torch.nn.Module) -> torch.nn.Module:
    """`module` with each BatchNorm folded into the convolution before: same answers, less work."""
    for part in module.modules():
        if isinstance(part, torch.nn.Sequential):
            for n, (before, layer) in enumerate(pairwise(part)):
                if isinstance(before, torch.nn.Conv2d) and isinstance(layer, torch.nn.BatchNorm2d):
                    part[n] = fuse_conv_bn_eval(before, layer)
                    part[n + 1] = torch.nn.Identity()
    return module


def vote(
    values: torch.Tensor,
    *,
    origin: Box,
    core: Box,
    axes: Iterable[Axis],
    layout: Layout,
    module: torch.nn.Module,
    constants: Normalisation,
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
            answers = answer(module, seen, constants)
            for one, planes in zip(passes, answers, strict=True):
                _keep(planes, one, votes[n], core)
    return votes.cpu().numpy()


@torch.inference_mode()
def answer(module: torch.nn.Module, planes: torch.Tensor, constants: Normalisation) -> torch.Tensor:
    """uint8 probabilities (N, slices_out, H, W) for raw planes (N, slices_in, H, W).

    float32 on the CPU; on a GPU bfloat16, or float16 where the hardware lacks it.
    """
    normal = constants.apply(planes).contiguous(memory_format=torch.channels_last)
    with torch.autocast(normal.device.type, dtype=half(), enabled=normal.is_cuda):
        logits = module(normal)
    return torch.sigmoid(logits.float()).mul_(255).round_().to(torch.uint8)


def batch_for(options: PredictOptions) -> int:
    """Tiles in one call of the network."""
    return options.batch or (8 if device_for(options.device) == "cuda" else 1)


def half() -> torch.dtype:
    """The 16-bit type the GPU is fast in."""
    old = torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0)
    return torch.float16 if old else torch.bfloat16


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

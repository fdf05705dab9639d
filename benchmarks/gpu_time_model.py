"""Seconds that predict takes a whole field of view on one GPU with 16 cores, on paper.

    python benchmarks/gpu_time_model.py [--cores 16] [--shape 518 8192 8192]

From the plan itself: its blocks, tiles and calls are those of `volproc predict` on a GPU, and every
operation of a call is counted (arithmetic, bytes read and written) on tensors without memory. What
cores do is measured here: decoding and encoding of shards, copying, resampling. What a GPU does is
stated: `GPUS`, and the shares of its peaks that are assumed. Nothing here was run on a GPU.

before   float32 weights under autocast; planes normalised in float32; one wait a call; zarr's one
         thread reads; each of 4 blocks in hand is encoded by one thread
after    weights of 16 bits; one pass before the network and one behind it; no wait; all cores
         decode and encode

A step is a pipeline: the longest stage, and what the others take for one block.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from figures import figure
from full_fov import AT_50, SHAPE, VOXEL_NM, image_of, models, options_for
from scipy.ndimage import gaussian_filter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import volproc
from volproc import ClusterOptions, PhantomOptions, __version__
from volproc.config.devices import planned_for
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, Shape
from volproc.model.normalisation import Normalisation
from volproc.model.predictor import without_batch_norm
from volproc.model.weights import load_model
from volproc.stages.inference.batches import MAX_PIXELS, BatchLimit, in_batches, requested_tiles
from volproc.stages.inference.tiling import Tile, along
from volproc.stages.predict.cost import costs_of
from volproc.stages.predict.stage import PredictPlan, plan_predict
from volproc.volume.metadata import new_volume
from volproc.volume.resampling import Resampling, as_tensor, resampled
from volproc.volume.store import create_volume

ZARR_LOOP = 0.58e9
"""Bytes a second that zarr's one thread reads in a process, measured on another machine."""
LAUNCH_BEFORE, LAUNCH_AFTER = 79e-6, 7e-6
"""Seconds in which Python launches an operation: beside threads that read by zarr, and beside those
that hold its lock for short times only; measured on CPUs."""
WAIT = 30e-6
"""Seconds that a wait of the host costs, assumed."""
BLOCKS_IN_HAND = 4
COMPUTE_SHARE, MEMORY_SHARE, LINK_SHARE = 0.4, 0.8, 0.6
"""Of a GPU's stated rates that are reached, assumed."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as its maker states it: operations a second in bfloat16, bytes a second."""

    flops: float
    memory: float
    link: float


GPUS = {"H100": Gpu(989e12, 3.35e12, 64e9), "H200": Gpu(989e12, 4.8e12, 64e9)}


@dataclass(frozen=True)
class Call:
    """A call of the network, as its code sees it: two of them are compiled as one."""

    planes: int
    height: int
    width: int
    requested: tuple[tuple[int, int], tuple[int, int]]


def calls_of(plan: PredictPlan) -> Counter[Call]:
    """The calls of all blocks, as a GPU with enough memory has them, and how often."""
    found: Counter[Call] = Counter()

    def count(batch: list[Tile]) -> None:
        _, height, width = along(batch[0].axis, batch[0].window.shape)
        rows, columns = ((part.start, part.stop) for part in batch[0].requested)
        found[Call(len(batch), height, width, (rows, columns))] += 1

    layout = plan.layout
    for block in plan.blocks:
        for axis in plan.options.axes:
            tiles = layout.tiles(block.core.shift(plan.box.start), axis)  # type: ignore[arg-type]
            limit = BatchLimit(requested_tiles("cuda", 0), MAX_PIXELS, "cuda")
            in_batches(tiles, count, limit=limit, halo=layout.halo, stride=layout.stride)
    return found


class Counting(TorchDispatchMode):
    """Counts what the operations within it do: (arithmetic, bytes) of each."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[int, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        returns = func._schema.returns
        is_view = any(one.alias_info and not one.alias_info.is_write for one in returns)
        if not is_view and "empty" not in func.__name__:
            moved = [
                one for one in tree_leaves((args, kwargs, out)) if isinstance(one, torch.Tensor)
            ]
            moved_bytes = sum(one.numel() * one.itemsize for one in moved)
            self.operations.append((_flop(func, args, out), moved_bytes))
        return out


def _flop(func: Any, args: Any, out: Any) -> int:
    """Arithmetic of a convolution, 2 per multiply-add; 0 of all else."""
    if func is not torch.ops.aten.convolution.default:
        return 0
    planes, weight, transposed = args[0], args[1], args[6]
    return int(2 * (planes if transposed else out).numel() * prod(weight.shape[1:]))


@dataclass(frozen=True)
class Work:
    """What a network's call makes a GPU do."""

    module: torch.nn.Module
    slices_in: int

    @cached_property
    def halved(self) -> torch.nn.Module:
        """The same with weights of 16 bits; both without memory."""
        return copy.deepcopy(self.module).to(torch.bfloat16)

    def before(self, call: Call) -> list[tuple[int, int]]:
        """Each operation as it was."""
        rows, columns = (slice(*part) for part in call.requested)
        with Counting() as counting:
            planes = torch.stack([*self._raw(call)])
            normal = planes.to(torch.float32).sub_(1).mul_(1).clamp_(-1, 1)
            normal = normal.contiguous(memory_format=torch.channels_last).to(torch.bfloat16)
            for weight in self.module.parameters():
                weight.to(torch.bfloat16)
            logits = self.halved(normal, (rows, columns))
            found = torch.sigmoid(logits.float())
            found.sum()
            for one in found:
                torch.empty_like(one, dtype=torch.uint8).copy_(one.mul(255).round_())
        return counting.operations

    def after(self, call: Call) -> list[tuple[int, int]]:
        """Each operation as it could be: a pass before the network, and one behind it."""
        rows, columns = (slice(*part) for part in call.requested)
        with Counting() as counting:
            planes = torch.stack([*self._raw(call)]).to(torch.bfloat16)
            normal = planes.to(memory_format=torch.channels_last)
            counting.operations[:] = [(0, planes.numel() * (1 + 2))]
            logits = self.halved(normal, (rows, columns))
            counting.operations.append((0, logits.numel() * (2 + 1)))
        return counting.operations

    def _raw(self, call: Call) -> Iterator[torch.Tensor]:
        for _ in range(call.planes):
            shape = (self.slices_in, call.height, call.width)
            yield torch.empty(shape, dtype=torch.uint8, device="meta")


@dataclass(frozen=True)
class Rates:
    """Of one core of this machine, bytes a CPU second; resampling in voxels that come out."""

    decode: float
    encode: float
    copy: float
    resample: float


def measured(folder: Path) -> Rates:
    """Rates on a phantom and on smooth probabilities, the best of three."""
    torch.set_num_threads(1)
    shape, nm = (128, 448, 448), (50.0, 12.5, 12.5)
    options = PhantomOptions(shape=shape, voxel_nm=nm, seed=1)
    image, _ = (
        str(folder / "image.zarr"),
        volproc.phantom(str(folder / "image.zarr"), options, cluster=ClusterOptions(kind="serial")),
    )
    volume = volproc.open_volume(image)
    box = Box((3, 5, 7), (shape[0] - 3, shape[1] - 5, shape[2] - 7))
    values = volume.read(box)
    smooth = gaussian_filter(volume.read(volume.info.box).astype(np.float32), 2)
    smooth = (255 / (1 + np.exp((smooth.mean() - smooth) / 8))).astype(np.uint8)
    made = new_volume(str(folder / "out.zarr"), shape=shape, voxel_nm=nm, dtype="uint8")
    out = create_volume(made, step="model", digest="model", version=__version__)
    blocks = [*Tiling(shape, made.levels[0].shards)]

    def encode() -> None:
        for block in blocks:
            out.write(block.core, smooth[block.core.slices])

    factor = (1.0, 1.25, 1.25)
    fine = Box((0, 0, 0), (shape[0], 350, 350))
    way = Resampling(0, shape, fine.shape, factor, AT_50)
    source = as_tensor(volume.read(way.source(fine)))
    there = np.empty_like(smooth)
    return Rates(
        decode=values.size / _seconds(lambda: volume.read(box)),
        encode=smooth.size / _seconds(encode),
        copy=smooth.size / _seconds(lambda: np.copyto(there, smooth)),
        resample=fine.size / _seconds(lambda: resampled(source, way, fine)),
    )


def _seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    found = []
    for _ in range(4):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found[1:])


@dataclass(frozen=True)
class Planned:
    """What of a plan the time depends on."""

    name: str
    calls: Counter[Call]
    blocks: int
    bytes_read: int
    resampled: int
    """Voxels that come out of resampling."""
    written: int
    before: Counter[tuple[int, int]]
    """(Arithmetic, bytes) of the operations, and how often."""
    after: Counter[tuple[int, int]]


def planned(name: str, model: Path, shape: Shape) -> Planned:
    """The plan of a field of view for a GPU, with every operation."""
    given = argparse.Namespace(device="cuda", compiled=False, batch=0)
    with planned_for(gpus=True):
        plan = plan_predict(image_of(shape), "model.zarr", options_for(model.name, model, given))
        costs = [*costs_of(plan.blocks, plan.task(Normalisation(0.0, 1.0)))]
    windows = [
        plan.layout.window(b.core.shift(plan.box.start), plan.options.axes) for b in plan.blocks
    ]
    module, _ = load_model(model)
    module = without_batch_norm(module.eval()).to("meta")
    work, calls = Work(module, plan.network.slices_in), calls_of(plan)
    before: Counter[tuple[int, int]] = Counter()
    after: Counter[tuple[int, int]] = Counter()
    with torch.no_grad():
        for call, count in calls.items():
            for operations, found in ((work.before, before), (work.after, after)):
                for one in operations(call):
                    found[one] += count
    straight = set(plan.resampler.factor) == {1.0}
    return Planned(
        name=name,
        calls=calls,
        blocks=len(plan.blocks),
        bytes_read=sum(count * cost.bytes_read for count, cost in costs),
        resampled=0 if straight else sum(window.size for window in windows),
        written=prod(plan.output.shape),
        before=before,
        after=after,
    )


def stages(plan: Planned, rates: Rates, gpu: Gpu, cores: int, *, after: bool) -> dict[str, float]:
    """Seconds of each stage, if it were alone; cores that all use are one, "cores"."""
    operations = plan.after if after else plan.before
    device = sum(
        count * max(flop / gpu.flops / COMPUTE_SHARE, moved / gpu.memory / MEMORY_SHARE)
        for (flop, moved), count in operations.items()
    )
    launches = operations.total() * (LAUNCH_AFTER if after else LAUNCH_BEFORE)
    waits = 0.0 if after else plan.calls.total() * WAIT
    link = gpu.link * LINK_SHARE
    decode, encode = plan.bytes_read / rates.decode, plan.written / rates.encode
    copied = (plan.bytes_read + plan.written) / rates.copy
    threads = cores if after else min(cores, BLOCKS_IN_HAND)
    return {
        "read and decode": decode / threads if after else plan.bytes_read / ZARR_LOOP,
        "copy (pinned)": copied / threads,
        "upload, download": (plan.bytes_read + plan.written) / link,
        "network on the GPU": device,
        "launches and waits": launches + waits,
        "encode and write": encode / threads,
        "cores": (decode + encode + copied) / cores,
    }


def total(found: dict[str, float], blocks: int) -> tuple[float, str]:
    """Seconds of the pipeline, and its bottleneck."""
    alone = {name: seconds for name, seconds in found.items() if name != "cores"}
    longest = max(found, key=lambda name: found[name])
    others = sum(seconds for name, seconds in alone.items() if name != longest)
    return found[longest] + others / blocks, longest


def table(gpu: str, plans: list[Planned], rates: Rates, cores: int) -> None:
    """Print it, and the totals as figures."""
    print(f"\n## {gpu}, {cores} cores: seconds before -> after\n")
    print("| |", " | ".join(plan.name for plan in plans), "|\n|" + "---|" * (1 + len(plans)))
    ways = [
        [stages(plan, rates, GPUS[gpu], cores, after=after) for after in (False, True)]
        for plan in plans
    ]
    for stage in ways[0][0]:
        cells = [f"{old[stage]:.3g} -> {new[stage]:.3g}" for old, new in ways]
        print(f"| {stage} | {' | '.join(cells)} |")
    totals = [
        [total(way, plan.blocks) for way in both] for both, plan in zip(ways, plans, strict=True)
    ]
    print("| **predict** |", " | ".join(f"{a:.3g} -> {b:.3g}" for (a, _), (b, _) in totals), "|")
    print("| bottleneck |", " | ".join(f"{a} -> {b}" for (_, a), (_, b) in totals), "|")
    for plan, (_, (seconds, _)) in zip(plans, totals, strict=True):
        figure(f"{plan.name}: predict on an {gpu}, on paper", seconds, "s")


def table_of_plans(plans: list[Planned], rates: Rates) -> None:
    """Print what was counted."""
    print("| |", " | ".join(plan.name for plan in plans), "|\n|" + "---|" * (1 + len(plans)))
    rows: dict[str, Callable[[Planned], str]] = {
        "blocks": lambda p: f"{p.blocks}",
        "passes, calls": lambda p: (
            f"{sum(c.planes * n for c, n in p.calls.items())}, {p.calls.total()}"
        ),
        "shapes of calls; without batch and crop": lambda p: (
            f"{len(p.calls)}; {len({(c.height, c.width) for c in p.calls})}"
        ),
        "PFLOP": lambda p: f"{sum(f * n for (f, _), n in p.after.items()) / 1e15:.3g}",
        "operations before -> after": lambda p: f"{p.before.total()} -> {p.after.total()}",
        "GPU's traffic, TB, before -> after": lambda p: " -> ".join(
            f"{sum(b * n for (_, b), n in way.items()) / 1e12:.3g}" for way in (p.before, p.after)
        ),
        "read, written, GB": lambda p: f"{p.bytes_read / 1e9:.3g}, {p.written / 1e9:.3g}",
        "core s of decoding, encoding": lambda p: (
            f"{p.bytes_read / rates.decode:.3g}, {p.written / rates.encode:.3g}"
        ),
        "core s of resampling, were it on cores": lambda p: f"{p.resampled / rates.resample:.3g}",
    }
    for name, cell in rows.items():
        print(f"| {name} |", " | ".join(map(cell, plans)), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        rates = measured(Path(folder))
        plans = [
            planned(f"{model.name}, {at}", model, tuple(given.shape))
            for at, nm in (("50 nm", AT_50), ("native", VOXEL_NM))
            for model in models(Path(folder), nm).values()
        ]
    print("measured, of one core:", end=" ")
    print(f"decode {rates.decode / 1e6:.0f}, encode {rates.encode / 1e6:.0f} MB/s;", end=" ")
    print(f"copy {rates.copy / 1e9:.1f} GB/s; resample {rates.resample / 1e6:.0f} Mvoxel/s")
    for name, gpu in GPUS.items():
        print(f"stated, {name}: {gpu.flops / 1e12:.0f} TFLOP/s in bfloat16,", end=" ")
        print(f"{gpu.memory / 1e12:.2f} TB/s, link {gpu.link / 1e9:.0f} GB/s")
    print(f"assumed shares: {COMPUTE_SHARE}, {MEMORY_SHARE}, {LINK_SHARE}\n")
    table_of_plans(plans, rates)
    for gpu in GPUS:
        table(gpu, plans, rates, given.cores)


if __name__ == "__main__":
    main()

"""predict from Zarr to Zarr against the bare network, and where the rest goes.

    python benchmarks/predict_ratio.py FOLDER [--shape 256 1024 1024] [--voxel-nm 50 50 50]
        [--model nuclei-50nm] [--workers 2] [--votes] [--parts-only]

Makes FOLDER/phantom.zarr unless it is there. Three measurements, in one run:

- the whole command, `volproc predict`, workers started and pyramids made, as a process of its own;
- its step "predict" alone, by the log it leaves;
- the bare network: the voxels of every pass that are answered for, without halo and border, on
  tensors that lie in memory, in as many processes as there are workers. Half of it before the
  command, half after: machines drift.

Then one block in this process, one thread, taken apart: each part by its CPU seconds, and the bare
network right after. CPU seconds are those of all processes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from processes import Cost, measured

import volproc
from volproc import PhantomOptions, PredictOptions
from volproc.engine.worker_settings import environment
from volproc.grid.box import whole_box
from volproc.model.normalisation import Normalisation
from volproc.model.predictor import Predictor
from volproc.stages.inference import votes as voting
from volproc.stages.inference.tile_size import up
from volproc.stages.inference.tiling import along
from volproc.stages.inference.votes import load_once
from volproc.stages.predict import task
from volproc.stages.predict.stage import PredictPlan, plan_predict
from volproc.stages.volume_sample import volume_sample
from volproc.volume.store import Volume, create_volume, open_volume

STEP = ("StepFinished", "predict")


def planned(folder: Path, model: str, *, votes: bool) -> PredictPlan:
    image = open_volume(folder / "phantom.zarr")
    beside = str(folder / "one-votes.zarr") if votes else None
    options = PredictOptions(model=model)
    return plan_predict(image.info, str(folder / "one.zarr"), options, votes_url=beside)


def bare_block(plan: PredictPlan, number: int, part: slice = slice(None)) -> float:
    """CPU seconds of the network on what (a part of) the passes of one block answer; one thread."""
    torch.set_num_threads(1)
    answering = load_once(plan.network, "cpu")
    assert isinstance(answering, Predictor)
    inside = whole_box(plan.output.shape)
    sides = [
        tuple(
            up(n, plan.network.stride) for n in along(one.axis, one.output.clip(inside).shape)[1:]
        )
        for axis in plan.options.axes
        for one in plan.layout.tiles(plan.blocks[number].core, axis)  # type: ignore[arg-type]
    ]
    sides = sides[part]
    ready = {
        side: torch.randn(1, plan.network.slices_in, *side).contiguous(
            memory_format=torch.channels_last
        )
        for side in {*sides, (plan.network.stride * 8,) * 2}
    }
    with torch.inference_mode():
        answering.module(ready[(plan.network.stride * 8,) * 2])  # choose kernels
        began = time.process_time()
        for side in sides:
            answering.module(ready[side])
    return time.process_time() - began


def bare(plan: PredictPlan, workers: int, *, part: slice) -> Cost:
    """A part of every block's passes, in as many processes as there are workers."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        list(pool.map(_ready, range(workers)))
        began = time.monotonic()
        cpu = sum(pool.map(partial(bare_block, plan, part=part), range(len(plan.blocks))))
        return Cost(wall_s=time.monotonic() - began, cpu_s=cpu)


def _ready(_: int) -> None:
    """A process that has imported this file; the pause leaves the others their turn."""
    time.sleep(1)


def command(folder: Path, model: str, workers: int, *, votes: bool) -> tuple[Cost, float]:
    """The whole command, and the wall seconds of its step "predict"."""
    out, beside = folder / "out.zarr", folder / "out-votes.zarr"
    for old in (out, beside, folder / "out.zarr.volproc"):
        shutil.rmtree(old, ignore_errors=True)
    words = [sys.executable, "-m", "volproc", "predict", str(folder / "phantom.zarr"), model]
    words += [str(out), "--workers", str(workers)]
    cost = measured(words + (["--votes", str(beside)] if votes else []), log=folder / "log.txt")
    if cost.code:
        raise SystemExit((folder / "log.txt").read_text())
    log = (folder / "out.zarr.volproc" / "log.jsonl").read_text().splitlines()
    (step,) = [e for e in map(json.loads, log) if (e["event"], e["step"]) == STEP]
    return cost, step["seconds"]


@dataclass
class Parts:
    """CPU seconds by part, of functions that were wrapped."""

    seconds: dict[str, float]

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        plain: Callable[..., Any] = getattr(owner, attribute)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.timed(name):
                return plain(*args, **kwargs)

        setattr(owner, attribute, wrapped)


def parts(folder: Path, model: str, *, votes: bool) -> dict[str, float]:
    """CPU seconds of the first block by part, one thread."""
    torch.set_num_threads(1)
    plan = planned(folder, model, votes=votes)
    kept = [info for info in (plan.output, plan.votes) if info]
    made = [create_volume(info, step="one", digest="one", version="0").info for info in kept]
    plan = replace(plan, output=made[0], votes=made[1] if votes else None)
    constants = plan.network.constants_from(volume_sample(Volume(plan.image)))
    work, block = plan.task(constants, None), plan.blocks[0]
    small = replace(plan.layout, tile=(plan.network.stride * 4,) * 3, shape=block.core.shape)
    warm = replace(work, layout=small)
    corner = replace(block, core=type(block.core)((0, 0, 0), (plan.network.stride * 2,) * 3))
    warm.compute(corner, warm.load(corner))  # compile and load, once
    found = Parts({})
    with found.timed("all"):
        answering = load_once(plan.network, "cpu")
        assert isinstance(answering, Predictor)
        found.wrap(answering.module, "forward", "network")
        found.wrap(type(constants), "apply", "normalise")
        found.wrap(task, "resampled", "resample")
        found.wrap(voting, "quantise", "quantise and keep")
        found.wrap(task.Predict, "fused", "fuse")
        with found.timed("read and decode"):
            loaded = work.load(block)
        result = work.compute(block, loaded)
        with found.timed("encode and write"):
            work.store(block, result)
    del answering.module.forward
    found.seconds["bare network"] = bare_block(plan, 0)
    for info in kept:
        shutil.rmtree(info.url)
    return found.seconds


def own_share(plan: PredictPlan) -> float:
    """Of the arithmetic, what would be left without halos, border and cut-off planes."""
    network, side = plan.network, 64 * plan.network.stride
    per_pixel = network.flop(side, side) / side**2 / plan.layout.slices_out
    voxels = sum(block.core.size for block in plan.blocks) * len(plan.options.axes)
    all_passes = plan.step(plan.task(Normalisation(0.0, 1.0), None)).flop
    return per_pixel * voxels / all_passes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 1024, 1024))
    parser.add_argument("--voxel-nm", type=float, nargs=3, default=(50, 50, 50))
    parser.add_argument("--model", default="nuclei-50nm")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--votes", action="store_true")
    parser.add_argument("--parts-only", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    phantom = given.folder / "phantom.zarr"
    if not phantom.exists():
        made = PhantomOptions(shape=tuple(given.shape), voxel_nm=tuple(given.voxel_nm), seed=1)
        volproc.phantom(str(phantom), made)
    plan = planned(given.folder, given.model, votes=given.votes)
    if not given.parts_only:
        print_command(given, plan)
    print_parts(parts(given.folder, given.model, votes=given.votes), own_share(plan))


def print_command(given: argparse.Namespace, plan: PredictPlan) -> None:
    first = bare(plan, given.workers, part=slice(0, None, 2))
    cost, step = command(given.folder, given.model, given.workers, votes=given.votes)
    network = first + bare(plan, given.workers, part=slice(1, None, 2))
    print(f"{plan.output.shape} voxels, {len(plan.blocks)} blocks of {plan.blocks.core}\n")
    print("| | wall s | CPU s | peak GB |\n|---|---|---|---|")
    peak = f"{cost.peak_bytes / 1e9:.2f}"
    print(f"| volproc predict | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {peak} |")
    print(f"| its step predict | {step:.1f} | | |")
    print(f"| bare network | {network.wall_s:.1f} | {network.cpu_s:.1f} | |")
    walls = network.wall_s / cost.wall_s, network.wall_s / step
    print(
        f"\nbare over command: CPU {network.cpu_s / cost.cpu_s:.3f}, wall {walls[0]:.3f}; ", end=""
    )
    print(f"over its step predict: wall {walls[1]:.3f}\n")


def print_parts(seconds: dict[str, float], own: float) -> None:
    whole = seconds.pop("all")
    bare_s = seconds.pop("bare network")
    network = seconds.pop("network")
    print("| one block, one thread | CPU s | share |\n|---|---|---|")
    rows = {
        "network on the block's own voxels": own * network,
        "network on halos and border": (1 - own) * network,
        **seconds,
        "all else (sigmoid, planning)": whole - network - sum(seconds.values()),
        "all": whole,
        "the bare network on the block's own voxels": bare_s,
    }
    for name, value in rows.items():
        print(f"| {name} | {value:.2f} | {value / whole:.1%} |")


def as_a_worker() -> None:
    """Start anew with a worker's settings: how memory is kept is decided at the very start."""
    wanted = environment(2, cores=2)
    if not wanted.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})


if __name__ == "__main__":
    as_a_worker()
    main()

"""The whole road on a made volume: rate of every step, and the network's share of predict.

    python benchmarks/road.py FOLDER [--shape 128 2048 2048] [--model nuclei-50nm] [--workers 2]

Makes FOLDER/phantom.zarr (50 x 10 x 10 nm), runs predict, label, evaluate and report on it as
`volproc run` does, and prints a table in Markdown. Steps are timed by the clock, and by the CPU
seconds of this process and its workers, which count where the machine has other things to do.
The network's share is taken from one block in this process: CPU seconds of the bare network on
tensors of the same shapes, over those of load + compute + store.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path

import psutil
import torch

import volproc
from volproc.config import (
    ClusterOptions,
    EvaluateOptions,
    PhantomOptions,
    PredictOptions,
    RunOptions,
    Workflow,
)
from volproc.engine.progress import Event, StepFinished, StepStarted
from volproc.model.answering import Answering
from volproc.stages.normalisation import volume_constants
from volproc.stages.predict.infer import device_for, load_once
from volproc.stages.predict.orientation import along
from volproc.stages.predict.stage import PredictPlan, plan_predict
from volproc.stages.predict.task import Predict
from volproc.volume.store import create_volume, open_volume

VOXEL_NM = (50.0, 10.0, 10.0)


class Clock:
    """Watches steps: rows of (step, voxels, seconds, CPU seconds, peak bytes of a worker)."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, float, float, int]] = []
        self._cpu = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._cpu = _cpu_seconds()
        elif isinstance(event, StepFinished):
            cpu = _cpu_seconds() - self._cpu
            self.rows.append((event.step, event.voxels, event.seconds, cpu, event.peak_bytes))


def _cpu_seconds() -> float:
    """CPU seconds of this process and everything it started that still lives."""
    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        with_times = process.cpu_times()
        total += with_times.user + with_times.system
    return total


def road(folder: Path, shape: tuple[int, int, int], model: str, workers: int) -> Clock:
    """Run everything anew in `folder`."""
    clock = Clock()
    cluster = ClusterOptions(workers=workers)
    phantom = str(folder / "phantom.zarr")
    volproc.phantom(
        phantom,
        PhantomOptions(shape=shape, voxel_nm=VOXEL_NM, seed=1),
        cluster=cluster,
        watchers=(clock,),
    )
    workflow = Workflow(
        run=RunOptions(source=phantom, folder=str(folder / "run")),
        cluster=cluster,
        predict=PredictOptions(model=model),
        evaluate=EvaluateOptions(truth=f"{phantom}/labels/nuclei"),
    )
    volproc.run(workflow, watchers=(clock,))
    return clock


def shares(folder: Path, model: str) -> list[tuple[str, float]]:
    """CPU seconds of one block of predict by part, one thread, and of the bare network."""
    torch.set_num_threads(1)
    image = open_volume(folder / "phantom.zarr")
    out = str(folder / "share.zarr")
    plan = plan_predict(image.info, out, PredictOptions(model=model), identity="share")
    volume = create_volume(plan.output, step="share", digest="share", version="0")
    task = replace(plan, output=volume.info).step(volume_constants(image)).task
    assert isinstance(task, Predict)
    block = plan.blocks[0]
    bare(plan)  # load the network, choose kernels
    times: list[tuple[str, float]] = []
    with _timed("load", times):
        loaded = task.load(block)
    with _timed("compute", times):
        result = task.compute(block, loaded)
    with _timed("store", times):
        task.store(block, result)
    with _timed("bare network", times):
        bare(plan)
    shutil.rmtree(out)
    return times


@torch.inference_mode()
def bare(plan: PredictPlan) -> None:
    """All passes of the first block through the network, on tensors that are there already."""
    device = device_for(plan.options.device)
    answering = load_once(plan.network, device)
    assert isinstance(answering, Answering)
    ready: dict[tuple[int, int], torch.Tensor] = {}
    for axis in plan.options.axes:
        for one in plan.layout.passes(plan.blocks[0].core, axis):  # type: ignore[arg-type]
            _, height, width = along(one.axis, one.window.shape)
            if (height, width) not in ready:
                seen = torch.randn(1, plan.network.slices_in, height, width, device=device)
                ready[height, width] = seen.contiguous(memory_format=torch.channels_last)
            answering.module(ready[height, width])


@contextmanager
def _timed(name: str, times: list[tuple[str, float]]) -> Iterator[None]:
    began = time.process_time()
    yield
    times.append((name, time.process_time() - began))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 2048, 2048))
    parser.add_argument("--model", default="nuclei-50nm")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    shape = tuple(given.shape)
    clock = road(given.folder, shape, given.model, given.workers)
    print(f"{shape} voxels ({prod(shape) / 1e6:.4g} Mvoxel), {given.workers} workers, ", end="")
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}\n")
    print("| step | Mvoxel | s | Mvoxel/s | CPU s | peak of a worker, GB |")
    print("|---|---|---|---|---|---|")
    for step, voxels, seconds, cpu, peak in clock.rows:
        rate = voxels / 1e6 / max(seconds, 1e-3)
        numbers = (f"{voxels / 1e6:.4g}", f"{seconds:.1f}", f"{rate:.3g}", f"{cpu:.1f}")
        print(f"| {' | '.join((step, *numbers, f'{peak / 1e9:.2f}'))} |")
    times = dict(shares(given.folder, given.model))
    whole = sum(seconds for name, seconds in times.items() if name != "bare network")
    print("\n| one block of predict, one thread | CPU s | share |\n|---|---|---|")
    for name, seconds in times.items():
        print(f"| {name} | {seconds:.2f} | {seconds / whole:.0%} |")


if __name__ == "__main__":
    main()

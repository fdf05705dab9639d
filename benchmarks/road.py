"""The whole road on a made volume: rate of every step.

    python benchmarks/road.py FOLDER [--shape 128 2048 2048] [--model nuclei-50nm] [--workers 2]

Makes FOLDER/phantom.zarr (50 x 10 x 10 nm), runs predict, label, evaluate and report on it as
`volproc run` does, and prints a table in Markdown. Steps are timed by the clock, and by the CPU
seconds of this process and its workers, which count where the machine has other things to do.
How much of predict is the network: predict_ratio.py.
"""

from __future__ import annotations

import argparse
import platform
from math import prod
from pathlib import Path

import torch
from clock import Clock

import volproc
from volproc import (
    ClusterOptions,
    EvaluateOptions,
    PhantomOptions,
    PredictOptions,
)
from volproc.config.run import RunOptions
from volproc.workflow.workflow_file import Workflow

VOXEL_NM = (50.0, 10.0, 10.0)


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
        evaluate=EvaluateOptions(ground_truth=f"{phantom}/labels/nuclei"),
    )
    volproc.run(workflow, watchers=(clock,))
    return clock


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
    for step, _, voxels, seconds, cpu, peak in clock.rows:
        rate = voxels / 1e6 / max(seconds, 1e-3)
        numbers = (f"{voxels / 1e6:.4g}", f"{seconds:.1f}", f"{rate:.3g}", f"{cpu:.1f}")
        print(f"| {' | '.join((step, *numbers, f'{peak / 1e9:.2f}'))} |")


if __name__ == "__main__":
    main()

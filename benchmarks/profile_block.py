"""Where the time of one block of predict goes: torch's profiler, as a table.

    python benchmarks/profile_block.py FOLDER nuclei-50nm            (or etchacell)

Reads an image of 50 nm of FOLDER (made unless it is there), does its first block once to warm up,
then three as a worker does them: loaded, computed, stored. Tables: the phases' seconds, then what
the device (the CPU without one) was busy with, by operation. Kernels of the GPU overlap with the
phases: `compute` returns before they are done, `store` waits for them.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import torch
from full_fov import KEPT, SHAPE, models
from repeated import repeated_phantom
from torch.profiler import ProfilerActivity, profile, record_function

from volproc import PredictOptions
from volproc.grid.blocks import Block
from volproc.grid.scale import parse_voxel_nm
from volproc.model.device import device_for
from volproc.model.normalisation import Normalisation
from volproc.stages.predict.stage import plan_predict
from volproc.stages.predict.task import Predict
from volproc.volume.store import create_volume

AT_50 = parse_voxel_nm((50, 50, 50))
ROWS = 40


def done(task: Predict, block: Block) -> list[float]:
    """Seconds of its phases."""
    moments = [time.perf_counter()]
    with record_function("volproc: load"):
        loaded = task.load(block)
    moments.append(time.perf_counter())
    with record_function("volproc: compute"):
        answered = task.compute(block, loaded)
    moments.append(time.perf_counter())
    with record_function("volproc: store"):
        task.store(block, answered)
    moments.append(time.perf_counter())
    return [b - a for a, b in pairwise(moments)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", choices=["nuclei-50nm", "etchacell"])
    parser.add_argument("--shape", type=int, nargs=3, default=(SHAPE[0], 1640, 1640))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compiled", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    name = "x".join(map(str, given.shape))
    image = repeated_phantom(given.folder / f"image-{name}.zarr", tuple(given.shape), AT_50)
    options = PredictOptions(
        model=str(models(given.folder, AT_50)[given.model]),
        center_planes=KEPT.get(given.model, 0),
        device=given.device,
        compiled=given.compiled,
        votes=False,
    )
    plan = plan_predict(image.info, str(given.folder / f"profile-{given.model}.zarr"), options)
    made = create_volume(plan.output, step="profile", digest=plan.digest, version="0")
    task = plan.task(Normalisation(128.0, 40.0))
    blocks = [plan.blocks[n % len(plan.blocks)] for n in range(4)]
    done(task, blocks[0])
    device = device_for(given.device)
    # not of a simulated GPU: a torch built without CUDA raises an error inside for each operation,
    # with its stack in words: minutes and megabytes of them
    real = device == "cuda" and torch.backends.cuda.is_built()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if real else [])]
    began = time.perf_counter()
    with profile(activities=kinds) as seen:
        phases = [done(task, block) for block in blocks[1:]]
    seconds = time.perf_counter() - began
    print(
        f"{made.info.url}: blocks of {blocks[0].core.shape}, on {device}, profiled {seconds:.2f} s"
    )
    print("| block | load s | compute s | store s |\n|---|---|---|---|")
    for block, times in zip(blocks[1:], phases, strict=True):
        print(f"| {block.index} | {' | '.join(f'{t:.3f}' for t in times)} |")
    averages = seen.key_averages()
    busy = sum(one.self_device_time_total for one in averages) / 1e6
    if real:
        print(f"kernels and copies {busy:.2f} s of {seconds:.2f}: {busy / seconds:.0%}")
    order = "self_device_time_total" if real else "self_cpu_time_total"
    print(averages.table(sort_by=order, row_limit=ROWS, max_name_column_width=60))


if __name__ == "__main__":
    main()

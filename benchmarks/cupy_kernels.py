"""Each kernel that cupy can compute: CPU (numpy, scipy, compiled loops) against GPU, time and bits.

    python benchmarks/cupy_kernels.py [--shape 64 512 512]

One block, one core against one GPU; the voxels' way there and back is in its time. "first" is the
first call, when cupy compiles. Where there is no GPU a small block goes to the simulated one, whose
times mean nothing: there it says whether results agree.

On a real GPU also: cupyx's own distance transform and components, which volproc does not use, so
that this may be decided by times.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from volproc.grid.box import Shape
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.array_namespace import namespace_of, run_on
from volproc.stages.filter.filter_steps import parse_step
from volproc.stages.filter.operations import filtered
from volproc.stages.interior.envelope_distance import with_envelope
from volproc.stages.interior.geodesic_growth import FREE, INSIDE, OUTSIDE, WALL, grown
from volproc.stages.interior.tasks import cores
from volproc.stages.objects.runs import runs_of
from volproc.stages.scores.nearest import Nearest
from volproc.stages.scores.surface_elements import surface_elements

PROJECT = Path(__file__).resolve().parent.parent
VOXEL_NM = parse_voxel_nm((50, 20, 20))
SIMULATED_SHAPE = (16, 48, 48)
REPEATS = 3
FILTERS = ("median 60", "median 100", "gaussian 40", "unsharp 40", "destripe 300 length=3000")


@dataclass(frozen=True)
class Case:
    """A kernel with its arrays; what it is called with on the CPU, if that is another one."""

    name: str
    kernel: Callable[..., Any]
    values: tuple[np.ndarray, ...]
    options: dict[str, Any] = field(default_factory=dict)
    on_cpu: Callable[..., Any] | None = None
    compared: bool = True

    def on(self, device: Any) -> np.ndarray:
        """What it finds there."""
        if device == "cpu" and self.on_cpu:
            return np.asarray(self.on_cpu(*self.values))
        return run_on(device, self.kernel, *self.values, **self.options)


@dataclass(frozen=True)
class Surfaces:
    """Distances of one surface's corners to another's, as `evaluate` asks for them."""

    name: str
    here: np.ndarray
    there: np.ndarray
    compared: bool = True

    def on(self, device: Any) -> np.ndarray:
        """What is found there."""
        nearest = Nearest(self.there, nm=VOXEL_NM, most_nm=500.0, device=device)
        return nearest.distances(self.here)


def cases(shape: Shape, *, real: bool) -> Iterator[Case | Surfaces]:
    """All kernels, on a block like a cell's: noise smoothed until it has objects."""
    rng = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape).astype("f4"), (3, 8, 8))
    smooth /= smooth.std()
    image = np.clip(smooth * 40 + 128 + rng.integers(-20, 20, shape), 0, 255).astype(np.uint8)
    nm = {"voxel_nm": VOXEL_NM}
    yield Case("there and back", lambda a: a, (image,))
    for text in FILTERS:
        yield Case(f"filter, {text}", filtered, (image,), {"steps": (parse_step(text),), **nm})
    wall = np.abs(smooth) < 0.1
    yield Case("interior, cores", cores, (wall,), {"gap_nm": 600, **nm})
    states = np.select([wall, smooth > 1.5, smooth < -1.5], [WALL, INSIDE, OUTSIDE], FREE)
    yield Case("interior, growth", grown, (states.astype("u1"),), {"reach_nm": 1000, **nm})
    ids = np.where(smooth > 0.1, (smooth * 5).astype("u4"), np.uint32(0))
    near = {"reach_nm": 250, **nm}
    yield Case("interior, envelope", with_envelope, (ids, wall), near)
    sides = [smooth > 1, ndimage.shift(smooth, (1, 3, -2), order=1) > 1]
    here, there = (surface_elements(side, at_border=False).corners for side in sides)
    yield Surfaces("evaluate, surfaces", here, there)
    if real:
        yield Case(
            "not used: cupyx's distance transform instead of cores",
            lambda a: _transformed(a) > 300,
            (wall,),
            on_cpu=lambda a: cores(a, gap_nm=600, **nm),
        )
        yield Case(
            "not used: cupyx's components instead of runs",
            _components,
            (smooth > 1,),
            on_cpu=lambda a: runs_of(a).connected(26).numbers,
            compared=False,
        )


def _transformed(mask: Any) -> Any:
    transform = namespace_of(mask).ndimage.distance_transform_edt
    return transform(~mask, sampling=VOXEL_NM, float64_distances=False)


def _components(mask: Any) -> Any:
    arrays = namespace_of(mask)
    return arrays.ndimage.label(mask, structure=arrays.xp.ones((3, 3, 3)))[0]


def timed(case: Case | Surfaces, device: str) -> tuple[np.ndarray, float, float]:
    """What it finds, seconds of the first call, and the least of the next."""
    seconds = []
    for _ in range(1 + REPEATS):
        began = time.perf_counter()
        found = case.on(device)
        seconds.append(time.perf_counter() - began)
    return found, seconds[0], min(seconds[1:])


def agreement(cpu: np.ndarray, gpu: np.ndarray) -> str:
    """Whether both are the same, in words."""
    if np.array_equal(cpu, gpu):
        return "same bits"
    apart = np.abs(cpu.astype("f8") - gpu)
    return f"{(apart > 0).mean():.2g} differ, by {apart.max():.3g} at most"


def main() -> int:
    """Print a row for each kernel; 1 if a result differs by more than a rounding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(64, 512, 512))
    given = parser.parse_args()
    with ExitStack() as stack:
        real = not simulated(stack)
        shape = tuple(given.shape) if real else SIMULATED_SHAPE
        print(f"{torch.cuda.get_device_name()}, {' x '.join(map(str, shape))} voxels\n")
        print("| kernel | CPU, s | GPU, s | first, s | times as fast | bytes a voxel | results |")
        print("|---|---|---|---|---|---|---|")
        agree = [row(case, prod(shape), real=real) for case in cases(shape, real=real)]
    return int(not all(agree))


def row(case: Case | Surfaces, voxels: int, *, real: bool) -> bool:
    """Print a kernel's; whether its results agree."""
    cpu, _, cpu_s = timed(case, "cpu")
    if real:
        torch.cuda.reset_peak_memory_stats()
    gpu, first_s, gpu_s = timed(case, "cuda")
    held = f"{torch.cuda.max_memory_allocated() / voxels:.0f}" if real else ""
    said = agreement(cpu, gpu) if case.compared else "not compared"
    times = f"{cpu_s:.3f} | {gpu_s:.3f} | {first_s:.2f} | {cpu_s / gpu_s:.1f}"
    print(f"| {case.name} | {times} | {held} | {said} |", flush=True)
    return not case.compared or bool(np.abs(cpu.astype("f8") - gpu).max(initial=0) <= 1)


def simulated(stack: ExitStack) -> bool:
    """Whether the GPU is a simulated one, which begins here if nobody has begun it."""
    if torch.cuda.is_available() and torch.cuda.get_device_name() != "a simulated GPU":
        return False
    sys.path.append(str(PROJECT))
    from tests.simulated_gpu.cupy_module import simulated_cupy
    from tests.simulated_gpu.simulation import simulated_gpus

    if not torch.cuda.is_available():
        stack.enter_context(simulated_gpus(total=2**32))
    stack.enter_context(simulated_cupy())
    return True


if __name__ == "__main__":
    raise SystemExit(main())

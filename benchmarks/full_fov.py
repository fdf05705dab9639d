"""A whole field of view, from Zarr to the report: seconds, rates, and what bounds them.

    python benchmarks/full_fov.py FOLDER                              518 x 8192 x 8192, on a GPU
    python benchmarks/full_fov.py FOLDER --fraction 0.01              a part, extrapolated

Makes FOLDER/image.zarr of 50 x 10 x 10 nm unless it is there (a phantom, repeated in plane; any
OME-Zarr of that size may be put there), then runs predict, label, measure and report with
nuclei-50nm, and predict alone with the network of Etch-a-Cell (random weights: the same work) at
50 nm, keeping 6 of its 12 planes as published. --at native does it at the image's own sampling.

--fraction takes as many of predict's blocks as come closest, at least one, in a volume that is cut
accordingly; predict is extrapolated by its arithmetic, all else by voxels. --workers,
--gpu-workers and --threads are those of [cluster], by default one worker per GPU or core. The
GPU's share of busy time and its memory are what nvidia-smi says, five times a second. "peak" is a
large matrix product, measured here; "in the network" are the largest tiles alone, one after the
other.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import torch
from clock import Clock
from figures import figure
from repeated import repeated_phantom

import volproc
from volproc import (
    ClusterOptions,
    MeasureOptions,
    PredictOptions,
)
from volproc.config.run import RunOptions
from volproc.engine.events import (
    Event,
    StepFinished,
    StepStarted,
)
from volproc.engine.machine import machine_cores
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.model.device import device_for
from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.model_folder import model_folder
from volproc.model.normalisation import Normalisation
from volproc.model.resolver import open_network
from volproc.model.weights import card_for, load_model, save_model
from volproc.stages.inference.batches import batch_limit
from volproc.stages.inference.tiling import along
from volproc.stages.inference.votes import load_once
from volproc.stages.predict.stage import PredictPlan, plan_predict
from volproc.volume.metadata import VolumeInfo, new_volume
from volproc.workflow.workflow_file import Workflow

SHAPE: Shape = (518, 8192, 8192)
VOXEL_NM = parse_voxel_nm((50, 10, 10))
AT_50 = parse_voxel_nm((50, 50, 50))
SAMPLINGS = {"50": AT_50, "native": VOXEL_NM}
KEPT = {"etchacell": 6}
"""Planes that count of those a network answers, as published."""
WITH_WORKERS = "with starting and closing of workers"


def image_of(shape: Shape) -> VolumeInfo:
    return new_volume("image.zarr", shape=shape, voxel_nm=VOXEL_NM, dtype="uint8")


def options_for(name: str, model: Path, given: argparse.Namespace) -> PredictOptions:
    return PredictOptions(
        model=str(model),
        center_planes=KEPT.get(name, 0),
        device=given.device,
        compiled=given.compiled,
        batch=given.batch,
        votes=False,
    )


def part_of(plan: PredictPlan, whole: Shape, fraction: float) -> Shape:
    """Voxels of the image that hold about this part of a plan's blocks: at least one."""
    _, rows, columns = plan.blocks.counts
    wanted = max(1, round(fraction * rows * columns))
    across = min(wanted, columns)
    down = min(rows, -(-wanted // across))
    _, y, x = plan.blocks.core
    scale = whole[1] / plan.output.shape[1]
    return whole[0], min(whole[1], int(down * y * scale)), min(whole[2], int(across * x * scale))


def models(folder: Path, voxel_nm: VoxelNm) -> dict[str, Path]:
    """nuclei-50nm's network and Etch-a-Cell's in folders of their own, for this voxel size."""
    place = folder / "models" / "x".join(f"{nm:g}" for nm in voxel_nm)
    found = {name: place / name for name in ("nuclei-50nm", "etchacell")}
    if not place.exists():
        ours, card = load_model(model_folder("nuclei-50nm"))
        save_model(found["nuclei-50nm"], ours, card.model_copy(update={"voxel_nm": voxel_nm}))
        torch.manual_seed(0)
        spec = EtchACellSpec()
        theirs = card_for(spec, name="etchacell", voxel_nm=voxel_nm, notes="random weights")
        save_model(found["etchacell"], EtchACell(spec).eval(), theirs)
    return found


@dataclass
class Watched(Clock):
    """Steps with when they were at work, and what the GPU did meanwhile."""

    spans: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._began = 0.0

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, StepStarted):
            self._began = time.time()
        elif isinstance(event, StepFinished):
            self.spans[event.step] = (self._began, time.time())
            # what is known when the benchmark is cut off
            print(f"{event.step}: {time.time() - self._began:.2f} s", flush=True)


class Gpu:
    """(time, busy percent, MB in use) of the first GPU, five times a second; nothing without."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float, float]] = []
        if shutil.which("nvidia-smi"):
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        words = ["nvidia-smi", "-i", "0", "--query-gpu=utilization.gpu,memory.used", "-lms", "200"]
        words += ["--format=csv,noheader,nounits"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                busy, used = map(float, line.split(","))
                self.samples.append((time.time(), busy, used))

    def during(self, span: tuple[float, float]) -> tuple[str, str]:
        """Mean share of busy time, and the most memory in GB."""
        inside = [(b, m) for t, b, m in self.samples if span[0] <= t <= span[1]]
        if not inside:
            return "", ""
        busy, used = zip(*inside, strict=True)
        return f"{sum(busy) / len(busy):.0f}%", f"{max(used) * 2**20 / 1e9:.1f}"


@torch.inference_mode()
def probe(model: str, given: argparse.Namespace) -> None:
    """Print TFLOP/s of a matrix product, and of the network on its largest tiles."""
    device = device_for(given.device)
    real = device == "cuda" and torch.backends.cuda.is_built()  # a simulated one is slow
    side, kind = (16384, torch.bfloat16) if real else (2048, torch.float32)
    a = torch.randn(side, side, dtype=kind).to(device)
    peak = 2 * side**3 / _seconds(lambda: a @ a, device)
    options = options_for(Path(model).name, Path(model), given)
    network = open_network(model)
    plan = plan_predict(image_of(tuple(given.part)), "probe.zarr", options)
    passes = plan.layout.tiles(plan.blocks[len(plan.blocks) // 2].core, "z")
    one = next(iter(passes))
    _, high, wide = along("z", one.window.shape)
    tiles = batch_limit(network, device, requested=options.batch).at_once(one)
    shape = (max(1, tiles), network.slices_in, high, wide)
    planes = torch.randint(0, 256, shape, dtype=torch.uint8).to(device)
    constants = network.constants_from(planes[0, :1].cpu().numpy())
    work = load_once(network, device, compiled=given.compiled)
    seconds = _seconds(lambda: work(planes, constants, one.requested), device)
    _, *answered = along("z", one.output.shape)
    rate = network.flop(high, wide, tuple(answered)) * len(planes) / seconds
    print(json.dumps({"peak": peak, "network": rate, "shape": shape}))


def _seconds(work: object, device: str) -> float:
    """The least of five, after two to warm up."""
    found = []
    for _ in range(7):
        began = time.perf_counter()
        work()  # type: ignore[operator]
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return min(found[2:])


def run(name: str, model: Path, given: argparse.Namespace, gpu: Gpu) -> None:
    """Run what there is to run with one model, and print its table."""
    options = options_for(name, model, given)
    whole = plan_predict(image_of(tuple(given.shape)), "whole.zarr", options)
    shape = part_of(whole, tuple(given.shape), given.fraction)
    image = repeated_phantom(
        given.folder / f"image-{'x'.join(map(str, shape))}.zarr", shape, VOXEL_NM
    )
    folder = given.folder / f"run-{model.parent.name}-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    road = name == "nuclei-50nm" and model.parent.name == "50x50x50"
    workflow = Workflow(
        run=RunOptions(source=image.info.url, folder=str(folder)),
        cluster=ClusterOptions(
            workers=given.workers, gpu_workers=given.gpu_workers, threads=given.threads
        ),
        predict=options,
        measure=MeasureOptions() if road else None,
    )
    clock = Watched()
    for stages in [["predict"], ["label", "measure", "report"]][: 1 + road]:
        began = time.time()
        volproc.run(workflow, stages=stages, watchers=(clock,))
        clock.spans[f"{', '.join(stages)} {WITH_WORKERS}"] = began, time.time()
    costs = {step.name: step for _, steps in volproc.plan(workflow) for step in steps}
    given.part = shape
    print_table(name, clock, costs, whole, shape, probed(model, given), gpu)


def probed(model: Path, given: argparse.Namespace) -> dict[str, float]:
    """In a process of its own: what it takes from the GPU it gives back."""
    words = [sys.executable, __file__, str(given.folder), "--probe", str(model)]
    words += [
        "--device",
        given.device,
        "--batch",
        str(given.batch),
        "--part",
        *map(str, given.part),
    ]
    words += ["--compiled"] if given.compiled else []
    answer = subprocess.run(words, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(answer.stderr)
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def print_table(
    name: str,
    clock: Watched,
    costs: dict[str, object],
    whole: PredictPlan,
    shape: Shape,
    probed: dict[str, float],
    gpu: Gpu,
) -> None:
    nm = "50 nm" if whole.output.voxel_nm == AT_50 else "native"
    named = f"{name}, {nm}"
    print(f"\n## {name} at {list(whole.output.voxel_nm)} nm, {shape} voxels of {VOXEL_NM} nm\n")
    print(
        f"matrix peak {probed['peak'] / 1e12:.3g} TFLOP/s, in the network on {probed['shape']} ",
        end="",
    )
    print(f"{probed['network'] / 1e12:.3g} ({probed['network'] / probed['peak']:.0%})\n")
    print(
        "| step | Mvoxel | s | Mvoxel/s | read, write GB | TFLOP/s, of peak | GPU busy | GPU GB ",
        end="",
    )
    print("| worker GB | CPU s | whole: s |\n|" + "---|" * 11)
    more = prod(whole.image.shape) / prod(shape)
    flop = whole.step(whole.task(Normalisation(0.0, 1.0), None)).flop
    total = 0.0
    for step, _, voxels, seconds, cpu, peak in clock.rows:
        cost = costs.get(step)
        work = getattr(cost, "flop", 0)
        times = flop / work if work else more
        total += seconds * times
        moved = [getattr(cost, f"bytes_{way}", 0) / 1e9 for way in ("read", "written")]
        rate = f"{work / seconds / 1e12:.3g}, {work / seconds / probed['peak']:.0%}" if work else ""
        busy, used = gpu.during(clock.spans[step])
        speed = f"{voxels / 1e6:.4g} | {seconds:.2f} | {voxels / 1e6 / max(seconds, 1e-3):.3g}"
        cells = [step, speed, f"{moved[0]:.2f}, {moved[1]:.2f}", rate, busy, used]
        cells += [f"{peak / 1e9:.2f}", f"{cpu:.1f}", f"{seconds * times:.1f}"]
        print(f"| {' | '.join(cells)} |")
        if step == "predict":
            figure(f"{named}: predict", seconds * times, "s")
            figure(f"{named}: predict, arithmetic", work / seconds / 1e12, "TFLOP/s")
            if busy:
                figure(f"{named}: predict, GPU busy", float(busy.rstrip("%")), "%")
    figure(f"{named}: all steps", total, "s")
    print(f"\nall steps of the whole field of view, extrapolated {more:.3g} times: {total:.0f} s")
    for what, (began, ended) in clock.spans.items():
        if what.endswith(WITH_WORKERS):
            print(f"{what}: {ended - began:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fraction", type=float, default=1.0)
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE)
    parser.add_argument("--models", nargs="*", default=["nuclei-50nm", "etchacell"])
    parser.add_argument("--at", nargs="+", choices=SAMPLINGS, default=["50"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--gpu-workers", type=int, default=0)
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.probe:
        probe(given.probe, given)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    gpu, device = Gpu(), device_for(given.device)
    what = torch.cuda.get_device_name(0) if device == "cuda" else f"{machine_cores()} cores"
    print(f"{what}, torch {torch.__version__}, fraction {given.fraction:g}")
    for at in given.at:
        for name, model in models(given.folder, SAMPLINGS[at]).items():
            if name in given.models:
                run(name, model, given, gpu)


if __name__ == "__main__":
    main()

"""Training on a GPU: patches a second of the feed, of the steps, and of both together.

    python benchmarks/gpu_train.py FOLDER nuclei-50nm        (or etchacell: the published network)

Patches of 12 x 256 x 256 voxels of a made volume (FOLDER has it afterwards), changed by the profile
`em`. First the feed alone, then steps on one batch alone, then the loop of `volproc train` for
--steps; from these the seconds of the published recipe, 120,000 patches, are extrapolated. "busy"
is what nvidia-smi says.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import torch
from figures import figure
from full_fov import Gpu
from training_loader import NM, make, sampler_of

from volproc.model.device import device_for
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.unet_spec import UNetSpec
from volproc.stages.train.augmentation.augmenter import Augmenter
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.feed import Feed
from volproc.stages.train.loop import Progress, Training, one_step, train
from volproc.stages.train.losses import Loss
from volproc.stages.train.schedule import Schedule
from volproc.stages.train.state import State, new_state

PUBLISHED_PATCHES = 120_000
NEVER = 10**9


def waited(device: torch.device) -> float:
    """The time, once the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def feed_alone(training: Training, device: torch.device, steps: int) -> float:
    """Patches a second."""
    feed = Feed(training.patches, training.augment, device, range(training.batch))
    batches = feed.steps(0, steps + 1)
    next(batches)  # the volume is read
    began = waited(device)
    count = sum(1 for _ in batches)
    return count * training.batch / (waited(device) - began)


def steps_alone(state: State, training: Training, steps: int) -> float:
    """Patches a second of the network, its gradients and the optimiser, on one batch."""
    feed = Feed(training.patches, training.augment, state.device, range(training.batch))
    batch, axes = next(iter(feed.steps(0, 1)))
    for _ in range(2):
        one_step(state, training, batch, axes)
    began = waited(state.device)
    for _ in range(steps):
        one_step(state, training, batch, axes)
    return steps * training.batch / (waited(state.device) - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("network", choices=["nuclei-50nm", "etchacell"])
    parser.add_argument("--patch", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--gb", type=float, default=0.3, help="of the made volume with its labels")
    parser.add_argument("--towers", type=int, default=32, help="channels of Etch-a-Cell's")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    given.memory, given.target, given.axes = "all", "foreground", "zyx"
    given.folder.mkdir(parents=True, exist_ok=True)
    make(given.folder, given.gb)
    sampler, *_ = sampler_of(given.folder, given)
    ours = given.network == "nuclei-50nm"
    spec = UNetSpec(12, 8) if ours else EtchACellSpec(start=given.towers)
    device = torch.device(device_for(given.device))
    seen: list[tuple[float, Progress]] = []
    schedule = Schedule(given.steps, checkpoint=NEVER, validate=NEVER)
    training = Training(
        schedule,
        patches=sampler.patches,
        augment=Augmenter(AugmentationOptions(), spec, 0, NM),
        loss=Loss(NM),
        batch=given.batch,
        watch=lambda now: seen.append((time.perf_counter(), now)),
    )
    name, gpu = f"training {given.network}", Gpu()
    figure(
        f"{name}: feed alone", feed_alone(training, device, max(4, given.steps // 4)), "patches/s"
    )
    state = new_state(spec, schedule, seed=0, device=device)
    rate = steps_alone(state, training, max(2, given.steps // 4))
    figure(f"{name}: steps alone", rate, "patches/s")
    flop = 3 * spec.flop(given.patch, given.patch)
    figure(f"{name}: steps alone", rate * flop / 1e12, "TFLOP/s")
    shutil.rmtree(given.folder / "training", ignore_errors=True)
    state = new_state(spec, schedule, seed=0, device=device)
    began = time.time()
    train(state, training, given.folder / "training", key="benchmark")
    (first, before), (last, now) = seen[len(seen) // 10], seen[-1]
    rate = (now.step - before.step) * given.batch / (last - first)
    figure(f"{name}: both together", rate, "patches/s")
    figure(f"{name}: waiting for patches", 100 * now.waiting, "%")
    busy, used = gpu.during((began, time.time()))
    if busy:
        print(f"GPU busy {busy}, {used} GB")
        figure(f"{name}: GPU busy", float(busy.rstrip("%")), "%")
    figure(f"{name}: {PUBLISHED_PATCHES:,} patches, extrapolated", PUBLISHED_PATCHES / rate, "s")


if __name__ == "__main__":
    main()

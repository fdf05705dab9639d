"""Patches from a volume ten times the allowed memory, against the same from memory.

    python benchmarks/training_loader.py FOLDER [--gb 0.8] [--patch 96] [--steps 60] [--step-ms MS]

FOLDER gets a made volume (once) and its bodies. Each way runs in a process of its own, so peaks of
memory are its own: `all` allows memory for everything, `tenth` a tenth of it. Patches come through
the feed of a training. Their consumer stands in for a network on a GPU: it sleeps as long as the
network's step takes on a core here (its CPU time, so other programs do not count), or MS. So all
CPU time is the loader's, and what a step takes is what the consumer takes and what it waits:

    patches a second = batch / (step + waiting)

The ratio of both ways is the bar (0.9). On a machine that others use, waiting is longer than it
need be; `needs` is the share of a core that the loader takes for as long as a step lasts.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from volproc import __version__
from volproc.engine.memory import process_peak_bytes
from volproc.grid.blocks import Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.stages.train.centre_index import index_of
from volproc.stages.train.data_options import TargetOptions
from volproc.stages.train.feed import Feed
from volproc.stages.train.pairs import LabelledImage
from volproc.stages.train.patch_sampler import Sampler, largest_patch
from volproc.stages.train.regions import regions_of
from volproc.stages.train.training_sources import ClassLabels, Source
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

NM = parse_voxel_nm((10, 10, 10))
TARGETS = {
    "foreground": TargetOptions(),
    "membranes": TargetOptions(made_from="borders", width_nm=40, background=True),
}
BODY = 48
FIRST = 1000  # any step: none is special
BYTES = 3  # of a voxel with one class: grey value, target, weight


def make(folder, gb):
    """Bodies of about 48 voxels, and grey values that are darker between them."""
    depth = 256
    side = int((gb * 1e9 / BYTES / depth) ** 0.5) // 128 * 128
    shape, urls = (depth, side, side), (folder / "image.zarr", folder / "bodies.zarr")
    if urls[1].exists():
        return urls
    for url, kind, dtype, values in (
        (urls[0], "image", "uint8", grey),
        (urls[1], "labels", "uint32", bodies),
    ):
        info = new_volume(str(url), shape=shape, voxel_nm=NM, dtype=dtype, kind=kind, max_levels=1)
        volume = create_volume(info, step="made", digest="made", version=__version__)
        for block in Tiling(shape, info.levels[0].shards):
            volume.write(block.core, values(block.core))
        volume.finish()
    return urls


def bodies(box):
    """Ids of wavy bricks with gaps of 0 between them."""
    z, y, x = np.ogrid[box.slices]
    wavy = [
        (a + 6 * np.sin(b / 17) + 6 * np.cos(c / 23)).astype(np.int32)
        for a, b, c in ((z, y, x), (y, x, z), (x, z, y))
    ]
    gap = np.minimum.reduce([w % BODY for w in wavy]) < 2
    ids = sum(w // BODY * f for w, f in zip(wavy, (1, 100, 10_000), strict=True)) + 20_202
    return np.where(gap, 0, ids).astype(np.uint32)


def grey(box):
    """Darker in the gaps, with noise."""
    noise = np.random.default_rng(box.start).integers(0, 40, box.shape, dtype=np.uint8)
    return np.where(bodies(box) > 0, np.uint8(160), np.uint8(90)) + noise


def sampler_of(folder, given):
    """The sampler, and the seconds that its index took."""
    image, labels = (open_volume(folder / name).info for name in ("image.zarr", "bodies.zarr"))
    source = Source(image, (ClassLabels(labels),))
    read = LabelledImage(source, NM, (TARGETS[given.target],))
    spec = UNetSpec(12, 8)
    everything = BYTES * read.box.size
    cache = everything if given.memory == "all" else everything // 10
    axes = tuple(float(axis in given.axes) for axis in "zyx")
    regions = regions_of([read], largest_patch(spec, given.patch, axes), cache_bytes=cache)
    began = time.perf_counter()
    index = index_of(regions, file=f"{folder}/centres.json", key="")
    made = Sampler(regions, index, spec, given.patch, 8, 0, axes)
    return made, time.perf_counter() - began, cache


def step_seconds(spec, patch, batch):
    """CPU seconds of a step of the network on one core: the least of three."""
    torch.set_num_threads(1)
    network = UNet(spec).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    planes = torch.randn(batch, spec.slices_in, patch, patch)
    truth = (torch.randn(batch, spec.slices_out, patch, patch) > 0).float()
    took = []
    for _ in range(3):
        began = time.thread_time()
        optimiser.zero_grad()
        logits = network(planes.to(memory_format=torch.channels_last))
        binary_cross_entropy_with_logits(logits, truth).backward()
        optimiser.step()
        took.append(time.thread_time() - began)
    return min(took)


def one_way(given):
    sampler, index_s, cache = sampler_of(given.folder, given)
    regions, batch = sampler.regions, sampler.batch
    step_s = given.step_ms / 1e3
    feed = Feed(sampler.patches, lambda raw: raw, torch.device("cpu"), range(batch))
    steps = feed.steps(FIRST, FIRST + given.steps + 1)
    next(steps)  # the first regions are read: once in a training
    filled, feed.waited = feed.waited, 0.0
    busy = time.process_time()
    for _ in steps:
        time.sleep(step_s)
    busy = (time.process_time() - busy) / given.steps
    found = {
        "regions": len(regions.all),
        "core": regions.core,
        "cache_gb": cache / 1e9,
        "index_s": index_s,
        "first_step_s": filled,
        "waited_s": feed.waited / given.steps,
        "cpu_ms": 1e3 * busy / batch,
        "needs": busy / step_s,
        "patches_per_s": batch / (step_s + feed.waited / given.steps),
        "peak_gb": process_peak_bytes() / 1e9,
    }
    print(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gb", type=float, default=0.8)
    parser.add_argument("--patch", type=int, default=96)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--step-ms", type=float, help="of the consumer; else measured")
    parser.add_argument("--axes", default="zyx")
    parser.add_argument("--target", choices=TARGETS, default="foreground")
    parser.add_argument("--memory", choices=("all", "tenth"))
    given = parser.parse_args()
    if given.memory:
        one_way(given)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    make(given.folder, given.gb)
    given.step_ms = given.step_ms or 1e3 * step_seconds(UNetSpec(12, 8), given.patch, 8)
    print(f"a step of the network: {given.step_ms:.0f} ms")
    found = {}
    for memory in ("all", "tenth"):
        timed = ["--memory", memory, "--step-ms", str(given.step_ms)]
        command = [sys.executable, __file__, *sys.argv[1:], *timed]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[memory] = json.loads(done.stdout)
        print(memory, found[memory], flush=True)
    ratio = found["tenth"]["patches_per_s"] / found["all"]["patches_per_s"]
    print(f"{ratio:.2f} of the patches a second from memory")


if __name__ == "__main__":
    main()

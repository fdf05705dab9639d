"""Patches from a volume ten times the allowed memory, against the same from memory.

    python benchmarks/training_loader.py FOLDER [--gb 0.8] [--patch 96] [--steps 200]

FOLDER gets a made volume (once) and its bodies. Each way runs in a process of its own, so peaks of
memory are its own: `all` allows memory for everything, `tenth` a tenth of it. Loaded alone, and
with the network's step as consumer (patches are prepared two steps ahead in threads, as in
training).
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from volproc import __version__
from volproc.grid.blocks import Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.stages.train.centre_index import index_of
from volproc.stages.train.data_options import TargetOptions
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


def per_second(sampler, steps, consume):
    """Patches per second over `steps`, prepared two steps ahead, and CPU milliseconds of each."""
    first, last = FIRST, FIRST + steps
    with ThreadPoolExecutor(2) as pool:
        coming = deque(pool.submit(sampler.patches, step) for step in (first, first + 1))
        coming[1].result()
        began, busy = time.perf_counter(), time.process_time()
        for step in range(first, last):
            coming.append(pool.submit(sampler.patches, step + 2))
            consume(coming.popleft().result())
    took, busy = time.perf_counter() - began, time.process_time() - busy
    return steps * sampler.batch / took, 1e3 * busy / (steps * sampler.batch)


def training_step(spec):
    network = UNet(spec).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)

    def consume(raw):
        planes = (raw.planes.float() - raw.mean.view(-1, 1, 1, 1)) / raw.std.view(-1, 1, 1, 1)
        central = slice(spec.margin, spec.margin + spec.slices_out)
        truth = raw.target[:, 0, central].float() / 255
        optimiser.zero_grad()
        logits = network(planes.to(memory_format=torch.channels_last))
        binary_cross_entropy_with_logits(logits, truth).backward()
        optimiser.step()

    return consume


def one_way(given):
    sampler, index_s, cache = sampler_of(given.folder, given)
    regions = sampler.regions
    alone, alone_ms = per_second(sampler, given.steps, lambda raw: None)
    fed, fed_ms = per_second(sampler, given.steps, training_step(sampler.spec))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    found = {
        "regions": len(regions.all),
        "core": regions.core,
        "cache_gb": cache / 1e9,
        "index_s": index_s,
        "patches_per_s": alone,
        "with_network": fed,
        "cpu_ms": alone_ms,
        "cpu_ms_with_network": fed_ms,
        "peak_gb": peak,
    }
    print(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gb", type=float, default=0.8)
    parser.add_argument("--patch", type=int, default=96)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--axes", default="zyx")
    parser.add_argument("--target", choices=TARGETS, default="foreground")
    parser.add_argument("--memory", choices=("all", "tenth"))
    given = parser.parse_args()
    if given.memory:
        one_way(given)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    make(given.folder, given.gb)
    found = {}
    for memory in ("all", "tenth"):
        command = [sys.executable, __file__, *sys.argv[1:], "--memory", memory]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[memory] = json.loads(done.stdout)
        print(memory, found[memory], flush=True)
    for name in ("patches_per_s", "with_network"):
        print(f"{name}: {found['tenth'][name] / found['all'][name]:.2f} of memory")


if __name__ == "__main__":
    main()

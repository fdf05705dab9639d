"""Patches per second of one core that training's augmentation changes.

    OMP_NUM_THREADS=1 python benchmarks/augmentation.py [--patch 192] [--slices 12] [--batch 8]
        [--before COMMIT]

CPU seconds of this process, the mean of --times batches. Rows are profiles and, on top of `none`,
each kind of change in every patch. With --before also the code
of a commit at which augmentation.py changed one patch at a time (3189953), without and with its
curves; "em, as far as before" has the same kinds of change.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch

from volproc.grid.scale import parse_voxel_nm
from volproc.model.normalisation import Normalisation
from volproc.model.unet_spec import UNetSpec
from volproc.stages.train.augmentation.augmenter import Augmenter
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.batch import RawPatches

BEFORE = {"repeated": 0, "shifted": 0, "charging": 0, "rotation_degrees": 0, "shot": 0}
"""What em has and the code before had not, switched off."""
OLD = "src/volproc/stages/train/augmentation.py"
KINDS = {
    "flips": {"flips": True},
    "brightness, contrast, gamma": {"brightness": 0.25, "contrast": 0.2, "gamma": 0.25},
    "section shading": {"section_brightness": 0.12, "section_contrast": 0.08},
    **{kind: {kind: 1} for kind in ("missing", "repeated", "shifted", "charging")},
    **{kind: {kind: 1} for kind in ("warp", "blur", "noise", "curves")},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("patch", 192), ("slices", 12), ("batch", 8), ("times", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--before", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    raw = patches(args.batch, args.slices, args.patch)
    spec = UNetSpec(args.slices, args.slices - 4)
    print("| changes | ms a patch | patches per core second |\n|---|---|---|")
    for name, options in rows().items():
        augmenter = Augmenter(options, spec, 0, parse_voxel_nm((50, 50, 50)))
        show(name, args, lambda step, a=augmenter: a(with_step(raw, step)))
    if args.before:
        module = module_at(args.before)
        for name, curves in (("before, without curves", 0.0), ("before, with curves", 0.35)):
            by = module.Strengths(curves=curves)
            show(name, args, lambda step, by=by: one_by_one(module, raw, spec, step, by))


def rows() -> dict[str, AugmentationOptions]:
    profiles = "none", "light", "em", "cross-microscope"
    found = {f"profile {name}": AugmentationOptions(profile=name) for name in profiles}
    found["em, as far as before"] = AugmentationOptions(**BEFORE)
    found["the same, with curves"] = AugmentationOptions(**BEFORE, curves=0.35)
    alone = {name: AugmentationOptions(profile="none", **one) for name, one in KINDS.items()}
    return found | alone


def show(name: str, args: argparse.Namespace, batch_of: Callable[[int], object]) -> None:
    batch_of(0)
    took = []
    for step in range(args.times):
        # twice: a shared machine slows some; the mean, since steps draw more or fewer changes
        took.append(min(cpu_s(batch_of, step) for _ in range(2)) / args.batch)
    ms = 1000 * np.mean(took)
    print(f"| {name} | {ms:.1f} | {1000 / ms:.0f} |", flush=True)


def cpu_s(batch_of: Callable[[int], object], step: int) -> float:
    before = time.process_time()
    batch_of(step)
    return time.process_time() - before


def patches(batch: int, slices: int, side: int) -> RawPatches:
    random = torch.Generator().manual_seed(0)
    shape = batch, slices, side, side
    image = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
    target = (torch.rand((batch, 1, *shape[1:]), generator=random) > 0.5).to(torch.uint8) * 255
    axes = tuple(number % 3 for number in range(batch))
    mean, std = torch.full((batch,), 127.0), torch.full((batch,), 50.0)
    return RawPatches(image, mean, std, target, torch.full_like(target, 255), axes, 0)


def with_step(raw: RawPatches, step: int) -> RawPatches:
    fields = raw.planes, raw.mean, raw.std, raw.target, raw.weight, raw.axes
    return RawPatches(*fields, step)


def module_at(commit: str) -> ModuleType:
    """The old module, out of git."""
    shown = subprocess.run(
        ["git", "show", f"{commit}:{OLD}"], capture_output=True, text=True, check=True
    )
    module = ModuleType("augmentation_before")
    sys.modules[module.__name__] = module
    exec(compile(shown.stdout, OLD, "exec"), module.__dict__)
    return module


def one_by_one(
    module: ModuleType, raw: RawPatches, spec: UNetSpec, step: int, by: object
) -> object:
    """What the sampler of then did with each patch after it had been cut."""
    done = []
    for image, target in zip(raw.planes, raw.target[:, 0], strict=True):
        rng = np.random.default_rng([0, step, len(done)])
        block = Normalisation(127.0, 50.0).apply(image)
        block = module.shade(block, rng=rng, by=by)
        block = module.shade_sections(block, axis=0, rng=rng, by=by)
        turned = module.turned(torch.stack([block, target.float() / 255]), rng=rng)
        planes, real = module.warped(*turned, rng=rng, by=by)
        planes = module.roughened(module.curved(planes, rng=rng, by=by), rng=rng, by=by)
        central = slice(spec.margin, spec.margin + spec.slices_out)
        done.append((planes, (real > 0.5).float()[central], torch.ones_like(real)[central]))
    return [torch.stack(parts) for parts in zip(*done, strict=True)]


if __name__ == "__main__":
    main()

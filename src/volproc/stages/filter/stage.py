"""Plan and run of `filter`: an image in, the image with its grey values filtered out.

|halo|--core--|halo|     read, mirrored beyond the volume's border; the core is written
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import ConfigError
from volproc.grid.blocks import Block, Tiling, reflected
from volproc.grid.box import Box, Shape, each
from volproc.grid.crop import box_in
from volproc.stages.array_namespace import Device, require_device, run_on
from volproc.stages.claims import Claim, admit
from volproc.stages.description import Request
from volproc.stages.filter.filter_steps import FilterStep
from volproc.stages.filter.operations import filtered, halo_of, radius_of
from volproc.stages.filter.options import FilterOptions
from volproc.stages.output import begin_volume, cutting_of, finish_volume, pyramid_steps
from volproc.volume.access import relative_url
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import refuse_not_finite, require_grey
from volproc.volume.metadata import VolumeInfo, itemsize, new_volume
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

ALGORITHM = 1
"""Raised by hand when the same image and options would give other voxels."""
FLOATS = 4
"""Copies of a block in floats: its values, what a step makes of them, and what that needs."""


@dataclass(frozen=True)
class FilterPlan:
    """Everything decided about filtering before a voxel is read."""

    image: VolumeInfo
    output: VolumeInfo
    box: Box
    filters: tuple[FilterStep, ...]
    device: Device
    recipe: Recipe

    @property
    def digest(self) -> str:
        """Names everything that the filtered image depends on."""
        return self.recipe.digest

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        return Claim(self.recipe, (self.image.url,), (self.output,))

    @property
    def pyramid(self) -> tuple[Step, ...]:
        """The coarser levels."""
        return pyramid_steps(self.output, digest=self.digest, name="filtered image")

    @property
    def step(self) -> Step:
        """The step that filters."""
        blocks = Tiling(self.output.shape, self.output.write_unit)
        halo = halo_of(self.filters, self.image.voxel_nm)
        core, read = blocks[0].core, blocks[0].core.grow(halo).size
        stored = itemsize(self.image.dtype)
        working = np.result_type(self.image.dtype, np.float32).itemsize
        return Step(
            name="filter",
            task=FilterBlock(
                Volume(self.image),
                Volume(self.output),
                self.filters,
                halo,
                self.box.start,
                self.device,
            ),
            on_gpu=self.device == "cuda",
            blocks=blocks,
            digest=self.digest,
            writes=(WrittenLevel(self.output),),
            # voxels as they are read and mirrored, floats, and 3 times the shard while encoded
            peak_bytes=read * (2 * stored + FLOATS * working) + 4 * core.size * stored,
            bytes_read=_voxels_read(blocks, self.box.start, halo, self.image.shape) * stored,
            bytes_written=prod(self.output.shape) * stored,
            notes=(f"filter: {', '.join(map(str, self.filters))}",),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        return (self.step, *self.pyramid)


def _voxels_read(blocks: Tiling, origin: Shape, halo: Shape, whole: Shape) -> int:
    """Voxels of the image under all blocks and their halos; along each axis alone, then times."""
    axes = zip(blocks.shape, blocks.core, origin, halo, whole, strict=True)
    return prod(
        sum(
            min(size, first + min(a + step, n) + h) - max(0, first + a - h)
            for a in range(0, n, step)
        )
        for n, step, first, h, size in axes
    )


def plan_filter(image: VolumeInfo, url: str, options: FilterOptions) -> FilterPlan:
    """Decide blocks and halo for filtering `image` into `url`.

    VolumeError for what is no grey image; ConfigError for operations that do not suit its voxels,
    or where there is no GPU that was asked for.
    """
    require_grey(image, stage="filter")
    filters = options.operations
    if not filters:
        raise ConfigError(
            '[filter] steps names no operation; such as steps = ["median 30"], or --steps "median '
            '30"'
        )
    for one in filters:
        _require_suited(one, image)
    device = require_device(options.device, table="filter")
    box = box_in(options.box, image.shape, image.voxel_nm)
    output = new_volume(
        url,
        shape=box.shape,
        voxel_nm=image.voxel_nm,
        corner_nm=image.corner_of(box),
        part=image.is_part or box != image.box,
        dtype=image.dtype,
        shards=options.block,
        window=image.window,
    )
    recipe = Recipe(
        "filter",
        ALGORITHM,
        {"image": [fingerprint(image), image.corner_nm]},
        {
            "steps": [str(one) for one in filters],
            "box": [box.start, box.stop],
            # sums end in other last bits there; a median is one of its voxels, wherever it is found
            **({"device": device} if device != "cpu" and not _all_medians(filters) else {}),
        },
        cutting_of(output.write_unit, output),
        {"image": relative_url(image.url, url)},
    )
    output = output.with_provenance(recipe=recipe.record())
    return FilterPlan(image, output, box, filters, device, recipe)


def _all_medians(filters: tuple[FilterStep, ...]) -> bool:
    return all(one.name == "median" for one in filters)


def _require_suited(step: FilterStep, image: VolumeInfo) -> None:
    """ConfigError for a step that changes nothing, or that is longer than the volume."""
    z, y, x = radius_of(step, image.voxel_nm)
    sizes = [n * nm for n, nm in zip(image.shape, image.voxel_nm, strict=True)]
    voxels = f"{image.url} has voxels of {list(image.voxel_nm)} nm"
    if step.name == "destripe" and not (y and x):
        raise ConfigError(
            f"[filter] {step}: {voxels}; width and length need three of them at least: make them "
            "larger"
        )
    if not (z or y or x):
        raise ConfigError(f"[filter] {step} changes nothing: {voxels}; make it larger, or drop it")
    longest = max(step.size_nm, step.length_nm if step.name == "destripe" else 0)
    if longest > max(sizes):
        raise ConfigError(
            f"[filter] {step}: {longest:g} nm is more than {image.url} is long, {max(sizes):g} nm; "
            "make it smaller"
        )


def run_filter(plan: FilterPlan, runner: Runner) -> Volume:
    """The finished image."""
    admit(plan.claim, runner)
    begun = begin_volume(runner, plan.output, step="filter", digest=plan.digest, steps=plan.steps)
    plan = replace(plan, output=begun.info)
    runner.run(plan.step)
    return finish_volume(runner, begun, plan.pyramid)


@dataclass(frozen=True)
class FilterBlock:
    """Task: one block of the filtered image, whose first voxel is at `origin` of the image."""

    image: Volume
    output: Volume
    filters: tuple[FilterStep, ...]
    halo: Shape
    origin: Shape
    device: Device

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The block with its halo, mirrored beyond the border of the image."""
        window = block.core.shift(self.origin).grow(self.halo)
        values = read_mirrored(self.image, window)
        refuse_not_finite(values, what=f"{self.image.info.url}, voxels {window},")
        return values

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The block, filtered."""
        nm = self.image.info.voxel_nm
        return run_on(self.device, filtered, loaded, steps=self.filters, voxel_nm=nm)

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Write the block."""
        self.output.write(block.core, result)


def read_mirrored(image: Volume, window: Box) -> npt.NDArray[Any]:
    """The voxels of `window`, which may reach beyond the image; the border voxel occurs once."""
    indices = each(reflected, window.start, window.stop, image.info.shape)
    inside = Box(each(lambda i: int(i.min()), indices), each(lambda i: int(i.max()) + 1, indices))
    values = image.read(inside)
    values = values.reshape(values.shape[-3:])  # of an image with one channel
    for axis, index in enumerate(indices):
        if inside.start[axis] != window.start[axis] or inside.stop[axis] != window.stop[axis]:
            values = values.take(index - inside.start[axis], axis=axis)
    return values


def plan_from(request: Request) -> FilterPlan:
    """The plan for what a command, a function or a run asks for."""
    options = request.table(FilterOptions)
    image = request.volume("image", voxel_nm=options.voxel_nm)
    return plan_filter(image, request.out(), options)

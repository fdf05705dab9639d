"""The phantom stage: a made image and its truth, block by block, with a table of the nuclei."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.engine.protocol import Step, Task
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.claims import Claim, admit
from volproc.stages.description import Request
from volproc.stages.output import begin_volumes, cutting_of, finish_volume, pyramid_steps
from volproc.stages.phantom.look import Look, look_of
from volproc.stages.phantom.options import PhantomOptions
from volproc.stages.phantom.render import render_into
from volproc.stages.phantom.scene import Scene
from volproc.stages.phantom.scene_layout import make_scene
from volproc.stages.phantom.voxels import voxels_per_id
from volproc.volume.file_io import sibling, write_file
from volproc.volume.metadata import VolumeInfo, itemsize, new_volume
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

ALGORITHM = 1
"""Raised by hand when the same options would give other voxels."""
LATTICE_BYTES = 120 * 2**20
"""Smooth fields of one slab, and the copies made while they are scaled."""


@dataclass(frozen=True)
class PhantomPlan:
    """What will be written; `steps` in the order they run, the voxels first."""

    image: VolumeInfo
    truth: VolumeInfo
    scene: Scene
    recipe: Recipe
    steps: tuple[Step, ...]

    @property
    def claim(self) -> Claim:
        """What it writes."""
        return Claim(self.recipe, (), (self.image, self.truth), siblings=(self.table,))

    @property
    def table(self) -> str:
        """Where the list of nuclei goes."""
        return sibling(self.truth.url, ".csv")


@dataclass(frozen=True)
class NucleusRow:
    """One nucleus as the truth shows it: counted, not calculated."""

    id: int
    voxels: int
    volume_um3: float
    touches_border: bool


@dataclass(frozen=True)
class RenderBlock(Task):
    """Image and ground truth of one block; its record states which nuclei are in it."""

    scene: Scene
    image: Volume
    truth: Volume

    def load(self, block: Block) -> None:
        """Nothing: a voxel follows from its place and the seed."""

    def compute(
        self, block: Block, loaded: None
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.unsignedinteger[Any]]]:
        """Image and truth of the block."""
        image = np.empty(block.core.shape, np.uint8)
        truth = np.empty(block.core.shape, self.truth.info.dtype)
        render_into(self.scene, block.core, image, truth)
        return image, truth

    def store(self, block: Block, result: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> Any:
        """Write both; voxels per nucleus, and the nuclei on the volume's faces."""
        image, truth = result
        self.image.write(block.core, image)
        self.truth.write(block.core, truth)
        counts = voxels_per_id(truth, len(self.scene.nuclei) + 1)
        voxels = [[int(n), int(counts[n])] for n in np.flatnonzero(counts) if n]
        return {"voxels": voxels, "on_border": self._on_border(block, truth)}

    def _on_border(self, block: Block, truth: npt.NDArray[Any]) -> list[int]:
        found: set[int] = set()
        for axis in range(3):
            along = np.moveaxis(truth, axis, 0)
            if block.core.start[axis] == 0:
                found.update(np.unique(along[0]).tolist())
            if block.core.stop[axis] == self.scene.shape[axis]:
                found.update(np.unique(along[-1]).tolist())
        return sorted(found - {0})


def plan_phantom(url: str, options: PhantomOptions) -> PhantomPlan:
    """Image at `url`, truth at `url`/labels/nuclei; nothing is written yet.

    GridError if the voxel size is not three positive numbers.
    """
    voxel_nm = parse_voxel_nm(options.voxel_nm)
    seed, density = options.seed, options.cell_density
    given = options.model_dump(include=set(Look._fields))
    look = look_of(options.look, seed=seed, given=given)
    scene = make_scene(options.shape, voxel_nm, seed=seed, cell_density=density, look=look)
    story = _story(scene)
    image = new_volume(url, shape=scene.shape, voxel_nm=voxel_nm, dtype="uint8")
    truth = new_volume(
        f"{url.rstrip('/')}/labels/nuclei",
        shape=scene.shape,
        voxel_nm=voxel_nm,
        dtype=str(np.min_scalar_type(len(scene.nuclei))),
        kind="labels",
        shards=image.write_unit,  # one block writes one shard of each
    )
    cutting = cutting_of(image.write_unit, image, truth)
    # by what the voxels depend on: the recipe of a HeLa-like phantom is that of earlier releases
    lasting = options.model_dump(exclude={"look", *Look._fields}) | look.unlike_hela()
    recipe = Recipe("phantom", ALGORITHM, {}, lasting, cutting)
    name, provenance = recipe.digest, {"scene": story, "recipe": recipe.record()}
    image, truth = image.with_provenance(**provenance), truth.with_provenance(**provenance)
    steps = (
        _render_step(scene, image, truth, name),
        *pyramid_steps(image, digest=name, name="the phantom"),
        *pyramid_steps(truth, digest=name, name="the truth"),
    )
    return PhantomPlan(image, truth, scene, recipe, steps)


def run_phantom(plan: PhantomPlan, runner: Runner) -> tuple[NucleusRow, ...]:
    """The nuclei that were made, also written to `plan.table`; both volumes finished."""
    admit(plan.claim, runner)
    render, *pyramids = plan.steps
    how = {"step": "phantom", "digest": plan.recipe.digest}
    image, truth = begin_volumes(runner, [plan.image, plan.truth], steps=plan.steps, **how)
    rows = nuclei_of(runner.run(render), plan.scene)
    write_file(plan.table, _csv(rows).encode())
    coarser = len(plan.image.levels) - 1
    finish_volume(runner, truth, pyramids[coarser:])
    finish_volume(runner, image, pyramids[:coarser])
    return rows


def nuclei_of(records: Iterable[Any], scene: Scene) -> tuple[NucleusRow, ...]:
    """The list of nuclei from the records of all blocks."""
    voxels = np.zeros(len(scene.nuclei) + 1, np.int64)
    on_border: set[int] = set()
    for record in records:
        for label, count in record["voxels"]:
            voxels[label] += count
        on_border.update(record["on_border"])
    um3 = prod(scene.voxel_nm) * 1e-9
    return tuple(
        NucleusRow(n, int(voxels[n]), round(int(voxels[n]) * um3, 4), n in on_border)
        for n in range(1, len(voxels))
    )


def _csv(rows: Iterable[NucleusRow]) -> str:
    lines = [f"{r.id},{r.voxels},{r.volume_um3},{str(r.touches_border).lower()}" for r in rows]
    return "\n".join(["id,voxels,volume_um3,touches_border", *lines]) + "\n"


def _story(scene: Scene) -> dict[str, Any]:
    """What a reader of the metadata should know about a made volume."""
    dividing = [cell.centre for cell in scene.cells if cell.chromosomes]
    return {
        "seed": scene.seed,
        "nuclei": len(scene.nuclei),
        "nucleus": "everything inside the outer surface of the envelope",
        "dividing_cells_nm": [[round(c) for c in centre] for centre in dividing],
        "dividing_cells": "no envelope, so no nucleus and no label",
        "charging_stripe_slice": scene.stripe.slice,
        "lost_slice": scene.lost_slice,
        "look": scene.look._asdict(),
    }


def _render_step(scene: Scene, image: VolumeInfo, truth: VolumeInfo, name: str) -> Step:
    blocks = Tiling(shape=scene.shape, core=image.write_unit)
    per_voxel = itemsize(image.dtype) + itemsize(truth.dtype)
    core = prod(blocks[0].core.shape) * per_voxel
    return Step(
        name="phantom",
        task=RenderBlock(scene, Volume(image), Volume(truth)),
        blocks=blocks,
        digest=name,
        writes=(WrittenLevel(image), WrittenLevel(truth)),
        peak_bytes=3 * core + LATTICE_BYTES,  # encoding a shard takes twice its size besides
        bytes_written=prod(whole_box(scene.shape).shape) * per_voxel,
    )


def plan_from(request: Request) -> PhantomPlan:
    """The plan for what a command, a function or a run asks for."""
    return plan_phantom(request.out(), request.table(PhantomOptions))

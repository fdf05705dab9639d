"""The first pass over the blocks: the surface of every object in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from volproc.engine.protocol import Step
from volproc.errors import ConfigError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape, each, whole_box
from volproc.stages.measure.mesh.isosurface import Surface, extract
from volproc.stages.measure.mesh.smooth_field import reach, soft
from volproc.stages.measure.mesh.surface_files import SurfaceFiles
from volproc.stages.measure.mesh.surface_sums import COLUMNS, Sums, surface_sums
from volproc.stages.objects.components import equal_values
from volproc.volume.kinds import refuse_negative, require_ids
from volproc.volume.metadata import Level, VolumeInfo, itemsize
from volproc.volume.store import Volume

NEAR_CUBE = 2.0
"""Voxels up to so many times as long as wide are near enough to a cube."""
WORKING_BYTES = 47
"""Per voxel: ids of the block's objects as they are found 10, of one object the mask 2, the field
while it is blurred 16, edges and cubes 7, triangles 12 (more than noise has)."""


def surface_level(info: VolumeInfo, *, voxel_nm: float | None = None) -> int:
    """The level of a pyramid that surfaces are made of.

    The finest whose voxels are all at least `voxel_nm` long, or the coarsest; by default the
    finest with voxels up to twice as long as wide: with thick slices, finer pixels add little.
    """
    for number, level in enumerate(info.levels):
        near_cube = max(level.voxel_nm) <= NEAR_CUBE * min(level.voxel_nm)
        if near_cube if voxel_nm is None else min(level.voxel_nm) >= voxel_nm * (1 - 1e-9):
            return number
    return 0 if voxel_nm is None else len(info.levels) - 1


def smoothing_nm(level: Level, smooth_nm: float | None) -> float:
    """The sigma to smooth by: what is asked for, by default the longest edge of a voxel.

    ConfigError where it would smear every object over the volume, and take forever to do so.
    """
    if smooth_nm is None:
        return max(level.voxel_nm)
    longest = max(n * nm for n, nm in zip(level.shape, level.voxel_nm, strict=True))
    if smooth_nm > max(longest / 4, *level.voxel_nm):
        raise ConfigError(
            f"[measure] smooth_nm = {smooth_nm:g}: the volume is {longest:g} nm long, and more "
            "than a quarter of it leaves no shape; a voxel or two smooth the steps away"
        )
    return smooth_nm


@dataclass(frozen=True)
class ExtractSurfaces:
    """Task: surfaces of the objects in one block, at a level of the labels.

    `smooth_nm` is the sigma for `soft`; `closed`: at the volume's border objects end in a flat cut.
    Areas are always left on disk, the surfaces themselves if `keep`.
    """

    labels: Volume
    level: int
    files: SurfaceFiles
    smooth_nm: float
    closed: bool = True
    keep: bool = True

    @property
    def here(self) -> Level:
        """The level that is read."""
        return self.labels.info.levels[self.level]

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The block and what its smooth field depends on."""
        return self.labels.read(block.read, self.level)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> dict[int, tuple[Surface, Sums]]:
        """Surface and sums of each object that has surface here."""
        refuse_negative(loaded, what=f"{self.labels.info.url}, voxels {block.read},")
        here = self.here
        surfaces = block_surfaces(
            loaded, block, level=here, smooth_nm=self.smooth_nm, closed=self.closed
        )
        return {
            identifier: (surface, surface_sums(surface, shape=here.shape, voxel_nm=here.voxel_nm))
            for identifier, surface in surfaces
        }

    def store(self, block: Block, result: dict[int, tuple[Surface, Sums]]) -> dict[str, int]:
        """Leave them in files."""
        sums = np.array([sums for _, sums in result.values()]).reshape(-1, COLUMNS)
        if self.keep:
            surfaces = {identifier: surface for identifier, (surface, _) in result.items()}
            self.files.save_surfaces(block.index, surfaces)
        self.files.save_sums(block.index, np.array([*result], dtype=np.uint64), sums)
        return {"objects": len(result), "triangles": int(sums[:, 0].sum())}


def surface_step(task: ExtractSurfaces, *, core: Shape) -> Step:
    """Surfaces of all objects, in blocks of `core` voxels; VolumeError for what has no ids."""
    info, here = task.labels.info, task.here
    require_ids(info)
    halo = each(lambda n: n + 2, reach(task.smooth_nm, voxel_nm=here.voxel_nm))
    read = each(lambda c, h, n: min(c + 2 * h, n), core, halo, here.shape)
    label_bytes = itemsize(info.dtype)
    return Step(
        name="surfaces",
        task=task,
        blocks=Tiling(shape=here.shape, core=core, halo=halo),
        digest=task.files.digest,
        peak_bytes=int(np.prod(read)) * (label_bytes + WORKING_BYTES),
        bytes_read=int(np.prod(here.shape)) * label_bytes,
    )


def block_surfaces(
    labels: npt.NDArray[Any], block: Block, *, level: Level, smooth_nm: float, closed: bool
) -> Iterator[tuple[int, Surface]]:
    """Id and surface of each object in a block, from the voxels of `block.read`."""
    local, ids = equal_values(labels)
    if not len(ids):
        return
    window = _window(block.core, level.shape, closed=closed)
    around = each(lambda n: n + 1, reach(smooth_nm, voxel_nm=level.voxel_nm))
    for number, place in enumerate(find_objects(local), start=1):
        box = Box(each(lambda s: s.start, place), each(lambda s: s.stop, place))
        part = box.shift(block.read.start).grow((1, 1, 1)).clip(window)
        if min(part.shape) < 2:
            continue
        crop = part.grow(around).clip(whole_box(level.shape))
        mask = local[crop.within(block.read.start).slices] == number
        if not mask.any() or _is_full(mask, part.within(crop.start)):
            continue
        field = soft(mask, smooth_nm=smooth_nm, voxel_nm=level.voxel_nm)
        surface = extract(
            mask, field, window=part.within(crop.start), origin=crop.start, shape=level.shape
        )
        if len(surface.triangles):
            yield int(ids[number - 1]), surface


def _window(core: Box, shape: Shape, *, closed: bool) -> Box:
    """Voxels whose cubes a block owns: its core and one voxel more, towards the next block.

    core 0 | core 1 | core 2
    [o o o | o] . . | . . .         window of block 0: the cubes across o | o are its own
     . . . [ o o o  | o] . .        window of block 1: it begins there, so no cube is done twice

    Where objects are to be closed at the volume's border, it reaches one voxel beyond the volume.
    """
    end = each(lambda b, n: b + 1 if b < n or closed else b, core.stop, shape)
    return Box(each(lambda a: a - 1 if a == 0 and closed else a, core.start), end)


def _is_full(mask: npt.NDArray[np.bool_], window: Box) -> bool:
    inside = window.clip(whole_box((mask.shape[0], mask.shape[1], mask.shape[2])))
    return inside == window and bool(mask[window.slices].all())

"""Where a prediction is made: in a box, and of that inside a mask.

image     |-----------------------------------|      context is read wherever the image has it,
box             |---------------|                    so what is predicted in the box is what a
mask                 ######                          prediction of the whole image has there
blocks          |-------|-------|
predicted            ######                          0 elsewhere; a block without a voxel of
                                                     the mask is not predicted
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor

import numpy as np
import numpy.typing as npt

from volproc.engine.ledger import digest
from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, Shape, each, whole_box
from volproc.grid.crop import box_in
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import labelled, refuse_not_finite
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.resampling import Resampling
from volproc.volume.sampling import Sampling, overlap
from volproc.volume.store import Volume, open_volume

SLAB = 16
"""Planes of a mask read at once: of most blocks that contain a voxel of it, the first planes do."""
NOISE = 1e-6
"""Of a voxel, by which positions that are computed from sizes in nm may be off."""


def model_box(text: str, image: VolumeInfo, way: Resampling) -> Box:
    """Voxels of the model's grid that cover the `box` of an option, which is one of the image."""
    box = box_in(text, image.shape, image.voxel_nm)
    if box == image.box:  # the grid may round the end of the volume
        return whole_box(way.shape_out)
    factor = each(lambda m, v: v / m, way.voxel_nm, image.voxel_nm)
    start = each(
        lambda a, f, n: min(n - 1, floor(a * f + NOISE)), *(box.start, factor, way.shape_out)
    )
    stop = each(
        lambda b, f, a, n: max(a + 1, min(n, ceil(b * f - NOISE))),
        *(box.stop, factor, start, way.shape_out),
    )
    return Box(start, stop)


@dataclass(frozen=True)
class Mask:
    """A mask on the model's grid: what is not 0 at a voxel's centre is inside,
    and where half of the nearest voxels are not 0.

    `covered` are the voxels of the grid that the mask's volume covers; beyond, nothing is inside.
    """

    volume: Volume
    level: int
    sampling: Sampling
    covered: Box

    @property
    def fingerprint(self) -> str:
        """Of the mask's volume, and of how it is sampled where that has changed."""
        own = fingerprint(self.volume.info)
        return digest(own, "ties") if self.sampling.has_ties else own

    def read(self, box: Box) -> npt.NDArray[np.bool_]:
        """Whether each voxel of `box` is inside."""
        inside, here = np.zeros(box.shape, dtype=bool), box.clip(self.covered)
        if here.size:
            source = self.sampling.source(here)
            values = self.volume.read(source, self.level)
            what = f"{self.volume.info.url}, voxels {source},"
            refuse_not_finite(values, what=what)
            found = self.sampling.sample(labelled(values, what=what), here)
            inside[here.within(box.start).slices] = found
        return inside

    def bytes_under(self, box: Box) -> int:
        """Memory that `read` takes for a box: what is read, and its result twice."""
        here = box.clip(self.covered)
        voxels = self.sampling.source(here).size if here.size else 0
        return voxels * (itemsize(self.volume.info.dtype) + 1) + 2 * box.size

    def lengths(self, box: Box, axis: int) -> tuple[int, ...]:
        """What `bytes_under` depends on along one axis."""
        here = box.clip(self.covered)
        return (self.sampling.source(here).shape[axis] if here.size else 0,)


def open_mask(url: str, image: VolumeInfo, way: Resampling) -> Mask:
    """The mask at `url` on the grid of `way`; VolumeError where it does not meet the image.

    Of its levels the coarsest is taken that is nowhere coarser than the model's voxels.
    """
    info = open_volume(url).info
    if info.channels:
        raise VolumeError(
            f"{url} has channels ({', '.join(info.channels)}); a mask needs one value a voxel"
        )
    fits = (
        n
        for n, level in enumerate(info.levels)
        if all(a <= 1.01 * b for a, b in zip(level.voxel_nm, way.voxel_nm, strict=True))
    )
    level = max(fits, default=0)
    sampling, both = overlap(info, image, level=level, grid=(way.shape_out, way.voxel_nm))
    return Mask(Volume(info), level, sampling, both)


def blocks_inside(mask: Mask, blocks: Tiling, origin: Shape) -> frozenset[int]:
    """Blocks, counted from `origin`, with a voxel inside; VolumeError if there are none."""
    found = _blocks_inside(mask, mask.fingerprint, blocks, origin)
    if not found:
        raise VolumeError(
            f"{mask.volume.info.url} has no voxel inside (other than 0) where a prediction would "
            "be made: nothing would be predicted; check the mask's values and position, and the box"
        )
    return found


@lru_cache(maxsize=8)
def _blocks_inside(mask: Mask, content: str, blocks: Tiling, origin: Shape) -> frozenset[int]:
    """A run plans several times: a mask of the same `content` is read once."""
    return frozenset(
        block.index
        for block in blocks
        if any(mask.read(slab).any() for slab in block.core.shift(origin).slabs(SLAB))
    )

"""Along which axes patches are viewed, and whether images are large enough for that."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.errors import ConfigError
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.train.options import TrainOptions
from volproc.stages.train.training_sources import Source, learnt

THIN = 3.0
"""Voxels that are so many times as long along z as in plane show little from the side."""
MIRRORED = 2
"""A patch may be so many times as long as an image: the rest of it is mirrored."""


def shares_of(options: TrainOptions, shapes: Sequence[Shape]) -> tuple[float, float, float]:
    """How often patches are viewed along z, y and x, together 1; ConfigError if along none.

    `shapes` are those of the images on the model's grid. "auto" takes z alone where a view from
    the side would show little, or mostly mirrored sections.
    """
    chosen = options.axes
    if chosen == "auto":
        z, y, x = options.voxel_nm
        few = any(MIRRORED * shape[0] < options.patch for shape in shapes)
        chosen = "z" if few or z >= THIN * max(y, x) else "zyx"
    given = chosen if isinstance(chosen, dict) else dict.fromkeys(chosen, 1.0)
    total = sum(given.values())
    if not total:
        raise ConfigError(f"[train] axes = {given}: at least one axis needs a share above 0")
    z, y, x = (given.get(axis, 0.0) / total for axis in ("z", "y", "x"))
    return z, y, x


def require_large_enough(sources: Sequence[Source], patch: Shape, voxel_nm: VoxelNm) -> None:
    """ConfigError for an image of which a patch would show little but mirrored voxels."""
    for source in sources:
        shape = learnt(source, voxel_nm).shape
        for axis, size, length in zip("zyx", shape, patch, strict=True):
            if length > MIRRORED * size:
                raise ConfigError(
                    f"patches are {length} voxels along {axis}, and {source.image.url} has {size} "
                    f"of {voxel_nm['zyx'.index(axis)]:g} nm there, fewer than half of that: give "
                    "[train] axes that look along other axes, a smaller patch or fewer slices_in"
                )

"""A made image with bodies in it, as a source to learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.stages.train.data_options import TargetOptions
from volproc.stages.train.pairs import LabelledImage
from volproc.stages.train.training_sources import ClassLabels, Source

MEMBRANE = TargetOptions(made_from="borders", width_nm=40, background=True)
FILLED = TargetOptions()
SHAPE = (24, 60, 72)
NM = VoxelNm((16.0, 16.0, 16.0))
"""The model's voxels; the image's are of 12 x 10 x 10 nm."""


def grey_and_bodies(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A grey image of round bodies 1 to 9, and these."""
    rng = np.random.default_rng(seed)
    centres, grid = rng.uniform(0, SHAPE, (9, 3)), np.stack(np.indices(SHAPE), axis=-1)
    apart = np.linalg.norm(grid[..., None, :] - centres, axis=-1)
    labels = np.where(apart.min(-1) < 11, apart.argmin(-1) + 1, 0).astype(np.uint16)
    noise = rng.integers(0, 20, SHAPE)
    return (60 + 90 * (labels > 0) + noise).astype(np.uint8), labels


def made_image(
    save: Callable[..., Any],
    *,
    box: Box | None = None,
    ignore: np.ndarray | None = None,
    name: str = "",
    seed: int = 0,
    weight: float = 1.0,
) -> LabelledImage:
    """Membranes and insides of the made bodies at 16 nm, from volumes of 12 x 10 x 10 nm."""
    grey, labels = grey_and_bodies(seed)
    nm = {"voxel_nm": (12, 10, 10)}
    image = save(f"{name}image.zarr", grey, **nm).info
    bodies = save(f"{name}bodies.zarr", labels, kind="labels", **nm).info
    unseen = None
    if ignore is not None:
        unseen = save(f"{name}ignore.zarr", ignore.astype(np.uint8), kind="labels", **nm).info
    known = ClassLabels(bodies, unseen)
    source = Source(image, (known, known), weight, box)
    return LabelledImage(source, NM, (MEMBRANE, FILLED))

"""A volume's normalisation constants, found the same way for training and for predicting."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy.typing as npt

from volproc.grid.box import Box
from volproc.model.normalisation import Normalisation, constants_from
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume

SAMPLE_VOXELS = 2**26
"""The normalisation constants come from the finest level that has no more voxels than this."""


def volume_constants(image: Volume) -> Normalisation:
    """The volume's normalisation constants, from one of its levels: the same for every block."""
    return constants_from(volume_sample(image))


def volume_sample(image: Volume) -> npt.NDArray[Any]:
    """Voxels that stand for the volume (`sample_box`)."""
    level, box = sample_box(image.info)
    return image.read(box, level=level)


def sample_box(info: VolumeInfo) -> tuple[int, Box]:
    """Where they are: in the finest level of at most `SAMPLE_VOXELS`, nearly always all of it."""
    sizes = [prod(level.shape) for level in info.levels]
    level = next((n for n, size in enumerate(sizes) if size <= SAMPLE_VOXELS), len(sizes) - 1)
    box = info.levels[level].box
    if box.size > SAMPLE_VOXELS:  # no pyramid: whole planes around the middle
        planes = max(1, SAMPLE_VOXELS // (box.shape[1] * box.shape[2]))
        first = (box.shape[0] - planes) // 2
        box = Box((first, 0, 0), (first + planes, box.shape[1], box.shape[2]))
    return level, box

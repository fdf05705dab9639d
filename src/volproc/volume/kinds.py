"""What a mask, labels and an image are, and the checks of each: the same for every command.

    mask     one answer a voxel. bool; whole numbers, 1 and above are foreground; floats from 0 to
             1; or, in an image of uint8, a probability from 0 to 255.
    labels   whole numbers from 0, one a voxel; 0 is background.
    image    grey values, one finite number a voxel.

What the metadata tell is refused when a stage is planned, a label that no voxel has as well; what
only all voxels tell, when the stage runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.fusion import level_of
from volproc.grid.blocks import Tiling
from volproc.volume.access import exists
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume

MAX_CLASSES = 16
"""An image of uint8 whose highest value is below is a mask of classes rather than probabilities."""
MAX_SEARCHED_VOXELS = 2**30
"""Of the finest level that is searched for a label: some ten seconds."""
SEARCHED_BLOCK = (64, 512, 512)
BEYOND = 0.01
"""By so much floats may leave 0 to 1: rounding of other programs' resampling."""


def require_labels(info: VolumeInfo) -> None:
    """VolumeError for a volume that holds no labels: whole numbers, one a voxel."""
    if info.channels or np.dtype(info.dtype).kind not in "bui":
        raise VolumeError(
            f"{info.url} holds {info.dtype}{' in channels' * bool(info.channels)}; the truth "
            "needs whole numbers and no channel axis"
        )


def require_ids(info: VolumeInfo) -> None:
    """VolumeError for a volume without ids: channels, or voxels that are not whole numbers."""
    if np.dtype(info.dtype).kind not in "iu" or info.channels:
        raise VolumeError(
            f"{info.url} holds {'channels of ' if info.channels else ''}{info.dtype}; objects "
            "need labels, one whole number per voxel: `volproc label` makes them"
        )


def require_grey(info: VolumeInfo, *, stage: str) -> None:
    """VolumeError for anything but an image of one channel."""
    if info.kind == "labels":
        raise VolumeError(f"{info.url} is a label volume; {stage} needs the image it belongs to")
    if len(info.channels) > 1:
        raise VolumeError(
            f"{info.url} has {len(info.channels)} channels ({', '.join(info.channels)}); "
            f"{stage} needs one: ingest the channel you want on its own"
        )


def require_values(info: VolumeInfo, values: Sequence[int], *, option: str) -> None:
    """VolumeError if voxels of the type of `info` can never be one of `values`."""
    ends = np.iinfo("uint8" if info.dtype == "bool" else info.dtype)
    beyond = [value for value in values if not ends.min <= value <= ends.max]
    if beyond:
        raise VolumeError(
            f"{option} has {', '.join(map(str, beyond))}, but {info.url} holds {info.dtype}, "
            f"{ends.min} to {ends.max}: name values that are there"
        )


def require_found(info: VolumeInfo, missing: Iterable[int], *, option: str) -> None:
    """VolumeError if some values that were asked for were `missing` in all voxels looked at."""
    if absent := sorted(missing):
        raise VolumeError(
            f"no voxel of {info.url} is {' or '.join(map(str, absent))}, which {option} asks for: "
            "name values that are there, or leave the option out to take all but 0"
        )


def require_present(volume: Volume, values: Sequence[int], *, option: str) -> None:
    """VolumeError if labels that were asked for are in no voxel of a volume.

    Before hours of work rather than after it. Coarser levels answer quickly where a label is there;
    one that they lack is searched in the finest, unless that is too large for a look.
    """
    require_values(volume.info, values, option=option)
    missing = set(values) if exists(volume.info.url) else set()  # else an earlier stage makes it
    for number, level in reversed([*enumerate(volume.info.levels)]):
        if prod(level.shape) > MAX_SEARCHED_VOXELS:
            return
        blocks = iter(Tiling(level.shape, SEARCHED_BLOCK))
        while missing and (block := next(blocks, None)):
            voxels = volume.read(block.core, number)
            missing -= {value for value in missing if (voxels == value).any()}
    require_found(volume.info, missing, option=option)


def refuse_image(info: VolumeInfo, values: Sequence[int]) -> None:
    """VolumeError for a grey image of which nobody says what `values` are the object."""
    if info.kind == "image" and not values:
        raise VolumeError(
            f"{info.url} is an image, and nearly all of its voxels are not 0; give its labels "
            f"(such as {info.url}/labels/...), or the values that are the object"
        )


def refuse_negative(values: npt.NDArray[Any], *, what: str) -> None:
    """VolumeError where signed values are below 0: taken for background they would be lost."""
    if values.dtype.kind == "i" and values.min(initial=0) < 0:
        raise VolumeError(
            f"{what} holds values below 0 (the lowest is {values.min()}), expected 0 for "
            "background and positive ones: set them to 0, or save the volume as unsigned"
        )


def refuse_not_finite(values: npt.NDArray[Any], *, what: str) -> None:
    """VolumeError where grey values are NaN or infinite: no network answers such voxels."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise VolumeError(f"{what} holds NaN or infinite voxels; give them a grey value")


def labelled(
    values: npt.NDArray[Any], wanted: Sequence[int] = (), *, what: str
) -> npt.NDArray[np.bool_]:
    """Where labels are one of `wanted`, or anything but 0 if it is empty.

    VolumeError for labels below 0 of which nobody says what they are: many write -1 for "nobody
    looked", which is no object.
    """
    if wanted:
        inside = np.zeros(values.shape, dtype=bool)
        for value in wanted:  # one at a time: np.isin would first make 8 bytes of every voxel
            inside |= values == value
        return inside
    refuse_negative(values, what=what)
    return np.asarray(values != 0)


def foreground_level(info: VolumeInfo, *, threshold: float) -> float:
    """The smallest voxel value of `info` that is foreground, for `threshold` from 0 to 1.

    uint8 images hold probabilities or masks from 0 to 255, so `threshold` is a share of 255 and
    never takes in 0; float images hold probabilities from 0 to 1. In labels, masks of bool and all
    other integers, 1 and above are foreground. VolumeError for values of any other type.
    """
    kind = np.dtype(info.dtype).kind
    if kind not in "buif":
        raise VolumeError(f"{info.url} holds {info.dtype}; a mask needs bool, integers or floats")
    if kind == "f":
        return threshold
    if info.kind == "image" and info.dtype == "uint8":
        return level_of(threshold)
    return 1


def foreground(values: npt.NDArray[Any], *, level: float, what: str) -> npt.NDArray[np.bool_]:
    """Where `values` reach `level`; VolumeError naming `what` for values that no mask has."""
    if values.dtype == np.bool_:
        return values
    refuse_negative(values, what=what)
    if values.dtype.kind == "f" and values.size:
        _refuse_no_probability(values, what)
    reached: npt.NDArray[np.bool_] = values >= level
    return reached


def _refuse_no_probability(values: npt.NDArray[Any], what: str) -> None:
    low, high = float(values.min()), float(values.max())
    if np.isnan(low):
        raise VolumeError(
            f"{what} has voxels that are not a number (NaN); give them a value, 0 for background"
        )
    if low < -BEYOND or high > 1 + BEYOND:
        raise VolumeError(
            f"{what} holds floats from {low:.4g} to {high:.4g}, expected a mask or probabilities "
            "from 0 to 1: divide them, or save masks and labels as whole numbers"
        )


def refuse_classes(info: VolumeInfo, *, level: float, highest: int, option: str) -> None:
    """VolumeError for a mask of 0 and 1 (or of a few classes) that was read as probabilities.

    `highest` is its highest value if no voxel was foreground from `level` on, else 0. A prediction
    of ours is one of probabilities, whatever is in it.
    """
    made = info.provenance
    ours = made.get("step") == "predict" or made.get("probabilities")
    if level > MAX_CLASSES > highest > 0 and not ours and info.dtype == "uint8":
        raise VolumeError(
            f"no voxel of {info.url} reaches {level:g} of 255, its highest value is {highest}: "
            f"for a mask of 0 and 1 (or of classes) set {option} = 0"
        )

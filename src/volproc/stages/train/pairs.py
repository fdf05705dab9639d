"""Images and their ground truth, in memory on one grid at the model's voxel size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from volproc.errors import ConfigError
from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.model.normalisation import Normalisation
from volproc.stages.train.training_sources import Source, learnt, sampling_of
from volproc.stages.volume_sample import volume_constants
from volproc.volume.kinds import labelled, refuse_not_finite
from volproc.volume.metadata import VolumeInfo
from volproc.volume.resampling import Resampling, read_resampled, resampling_to
from volproc.volume.store import Volume

SLAB = 16
"""Planes read at a time."""
MAX_CENTRES = 100_000
"""Voxels that are stored as centres of patches."""

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Voxels = npt.NDArray[np.int32]
AgreementAs = Literal["nothing", "weights", "labels"]


@dataclass(frozen=True)
class Pair:
    """An image and its ground truth; arrays are (z, y, x), lists of voxels (n, 3)."""

    image: npt.NDArray[Any]
    """As stored."""
    ground_truth: Mask
    """True in the objects; False also where nobody annotated."""
    normalisation: Normalisation
    borders: Voxels
    """Some voxels on the objects' surfaces."""
    counted: Voxels
    """Some of the voxels that count, if not all do."""
    soft: Bytes | None = None
    """The probability of an object times 255, if more is known than yes or no."""
    weight: Bytes | None = None
    """The weight of a voxel in the loss, times 255; without it all weigh the same."""

    @property
    def is_soft(self) -> bool:
        """Whether the ground truth has values between 0 and 1."""
        return self.soft is not None


def pair_of(
    image: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    *,
    normalisation: Normalisation,
    ignored: Mask | None = None,
    agreement: Bytes | None = None,
    agreement_as: AgreementAs = "nothing",
    most: int = MAX_CENTRES,
) -> Pair:
    """A pair with at most about `most` surface voxels, evenly picked.

    `agreement` is the share of people who say "inside", times 255. What is `ignored` carries no
    loss, whatever the others say there.
    """
    seen = None if ignored is None or not ignored.any() else ~ignored
    ground_truth = labels > 0 if seen is None else (labels > 0) & seen
    soft, weight = None, None
    if agreement is not None and agreement_as == "labels":
        soft = agreement if seen is None else agreement * seen
    if agreement is not None and agreement_as == "weights":
        weight = np.abs(2 * agreement.astype(np.int16) - 255).astype(np.uint8)
    if seen is not None:
        weight = seen * np.uint8(255) if weight is None else weight * seen
    return Pair(
        image,
        ground_truth,
        normalisation,
        borders=_some(_surfaces(ground_truth, seen), most),
        counted=_some(seen, most) if seen is not None else np.empty((0, 3), np.int32),
        soft=soft,
        weight=weight,
    )


def _surfaces(inside: Mask, seen: Mask | None) -> Mask:
    """Voxels whose next one along an axis is of the other kind, if both were annotated."""
    edge = np.zeros_like(inside)
    for axis in range(3):
        here, there = (_from(axis, None, -1), _from(axis, 1, None))
        change = inside[here] ^ inside[there]
        edge[here] |= change if seen is None else change & seen[here] & seen[there]
    return edge


def _from(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    return tuple(slice(start, stop) if a == axis else slice(None) for a in range(3))


def _some(mask: Mask, most: int) -> Voxels:
    """At most about `most` voxels of a mask, evenly picked."""
    found = np.flatnonzero(mask)
    return np.stack(
        np.unravel_index(found[:: max(1, len(found) // most)], mask.shape), axis=1
    ).astype(np.int32)


def load_pair(source: Source, voxel_nm: VoxelNm, *, agreement_as: AgreementAs = "nothing") -> Pair:
    """A source on the model's grid, where all of its volumes overlap, read in slabs.

    ConfigError if all of it is ignored.
    """
    image = Volume(source.image)
    resampler = resampling_to(source.image, voxel_nm)
    slabs = list(learnt(source, voxel_nm).slabs(SLAB))

    def whole(read: Callable[[Box], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        return np.concatenate([read(slab) for slab in slabs])

    def values(info: VolumeInfo, box: Box) -> npt.NDArray[Any]:
        sampling, _ = sampling_of(info, source.image, voxel_nm)
        return sampling.sample(Volume(info).read(sampling.source(box)), box)

    def marked(info: VolumeInfo) -> Mask:
        return whole(lambda box: labelled(values(info, box), what=info.url))

    people = source.agreement
    ignored = marked(source.ignore) if source.ignore else None
    if source.ignore and ignored is not None and ignored.all():
        raise ConfigError(
            f"every voxel of {source.image.url} is marked in {source.ignore.url}, so nothing is "
            "left to learn from; have more slices drawn, or lower [annotate] min_votes"
        )
    return pair_of(
        whole(lambda box: image_on(image, resampler, box)),
        marked(source.labels),
        normalisation=volume_constants(image),
        ignored=ignored,
        agreement=whole(lambda box: values(people, box)) if people else None,
        agreement_as=agreement_as,
    )


def require_foreground(pairs: Sequence[Pair], sources: Sequence[Source]) -> None:
    """ConfigError if no pair has an object: a network would learn that there is none anywhere."""
    if not any(
        pair.ground_truth.any() or (pair.soft is not None and pair.soft.any()) for pair in pairs
    ):
        raise ConfigError(
            f"[train] labels: no voxel of {', '.join(s.labels.url for s in sources)} is more than "
            "0, so there is no object to learn; give labels that hold some"
        )


def image_on(image: Volume, resampler: Resampling, box: Box) -> npt.NDArray[Any]:
    """The image in `box` of the new grid; 8-bit images stay 8-bit, others become float32."""
    values = read_resampled(image, resampler, box).numpy()
    refuse_not_finite(values, what=f"{image.info.url}, near voxels {resampler.source(box)},")
    return values.round().astype(np.uint8) if image.info.dtype == "uint8" else values

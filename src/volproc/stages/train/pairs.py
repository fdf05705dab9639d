"""Images and what the network is to answer for them, in boxes of one grid at its voxel size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, Shape, each
from volproc.grid.scale import VoxelNm
from volproc.model.normalisation import Normalisation
from volproc.stages.train.bounded_reads import read_in_parts
from volproc.stages.train.data_options import TargetOptions
from volproc.stages.train.targets import (
    Bytes,
    Mask,
    beside_faces,
    bodies_of,
    faces_of,
    reach_voxels,
    target_of,
)
from volproc.stages.train.training_sources import (
    Source,
    class_box,
    learnt,
    sampling_of,
)
from volproc.stages.volume_sample import volume_constants
from volproc.volume.kinds import labelled, refuse_not_finite
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.resampling import Resampling, read_resampled, resampling_to
from volproc.volume.sampling import Sampling, level_not_coarser
from volproc.volume.store import Volume

SLAB_VOXELS = 2**23
"""Voxels that are read together."""
MAX_CENTRES = 100_000
"""Voxels of each kind that are stored as centres of patches."""

Voxels = npt.NDArray[np.int32]
AgreementAs = Literal["nothing", "weights", "labels"]
NOTHING = np.uint8(0)


@dataclass(frozen=True)
class Truth:
    """What is known of a class in a box; arrays (z, y, x)."""

    target: Bytes
    """The probability of the class times 255; 0 also where nobody annotated."""
    weight: Bytes
    """What a voxel counts in the loss, times 255."""
    edges: Mask
    """True on the surfaces of its bodies: where patches are best centred."""


@dataclass(frozen=True)
class Pair:
    """An image and its truth in `box`; arrays (z, y, x), lists of voxels (n, 3) from its start."""

    box: Box
    """The voxels of the model's grid."""
    image: npt.NDArray[Any]
    """As stored."""
    normalisation: Normalisation
    targets: tuple[Bytes, ...]
    """Of each class the probability times 255."""
    weights: tuple[Bytes, ...]
    """Of each class what a voxel counts in the loss, times 255."""
    edges: tuple[Voxels, ...]
    """Of each class some voxels on the surfaces of its bodies."""
    counted: Voxels | None = None
    """Some of the voxels that count for any class; None if all of them do."""

    @property
    def nbytes(self) -> int:
        """Memory of its arrays."""
        lists = (*self.edges, *(() if self.counted is None else (self.counted,)))
        return sum(map(_stored_bytes, (self.image, *self.targets, *self.weights, *lists)))

    @property
    def ground_truth(self) -> Mask:
        """Where each class is, (classes, z, y, x)."""
        return np.stack(self.targets) > 127


@dataclass(frozen=True)
class LabelledImage:
    """A source on the model's grid, of which any box can be read: equal wherever it is cut."""

    source: Source
    voxel_nm: VoxelNm
    targets: tuple[TargetOptions, ...]
    """What is made of the labels of each class."""
    agreement_as: AgreementAs = "nothing"
    from_pyramids: bool = False
    """Whether labels are read from the level that suits the grid, not from the finest one."""

    def coarser(self, factor: int) -> LabelledImage:
        """The same on voxels so many times as long: of borders that are narrower, a voxel."""
        if factor == 1:
            return self
        voxel_nm = VoxelNm(each(lambda nm: nm * factor, self.voxel_nm))
        targets = tuple(
            one.model_copy(update={"width_nm": max(one.width_nm, *voxel_nm)})
            if one.width_nm
            else one
            for one in self.targets
        )
        return replace(self, voxel_nm=voxel_nm, targets=targets, from_pyramids=True)

    @cached_property
    def box(self) -> Box:
        """The voxels of the model's grid that may be read: those that are learnt from."""
        return learnt(self.source, self.voxel_nm)

    @cached_property
    def normalisation(self) -> Normalisation:
        """The constants of the image, those that predict finds too."""
        return volume_constants(self._image)

    def read(self, box: Box, *, centres: Box | None = None, most: int = MAX_CENTRES) -> Pair:
        """Image and truth of `box`, with at most about `most` voxels per list in `centres`.

        Read a slab at a time, which bounds the copies.
        """
        classes = range(len(self.targets))
        image = np.empty(box.shape, self._dtype)
        targets, weights = ([np.empty(box.shape, np.uint8) for _ in classes] for _ in range(2))
        edges = [np.empty(box.shape, np.bool_) for _ in classes]
        for slab in box.slabs(slab_depth(box)):
            index = slab.within(box.start).slices
            image[index] = self.image(slab)
            for number, truth in enumerate(self.truths(slab)):
                targets[number][index], weights[number][index] = truth.target, truth.weight
                edges[number][index] = truth.edges
        inner = (centres or box).within(box.start)
        counts = np.logical_or.reduce([weight[inner.slices] > 0 for weight in weights])
        return Pair(
            box,
            image,
            self.normalisation,
            tuple(map(_compact, targets)),
            tuple(map(_compact, weights)),
            tuple(_some(edge[inner.slices], most, inner.start) for edge in edges),
            None if counts.all() else _some(counts, most, inner.start),
        )

    def image(self, box: Box) -> npt.NDArray[Any]:
        """The image in `box`; 8-bit images stay 8-bit, others become float32."""
        return image_on(self._image, self._resampler, box)

    def truths(self, box: Box) -> list[Truth]:
        """What is known of each class in `box`."""
        labels: dict[tuple[str, Box], Any] = {}
        return [self._truth(number, box, labels) for number in range(len(self.targets))]

    def _truth(self, number: int, box: Box, labels: dict[tuple[str, Box], Any]) -> Truth:
        """`labels` are those that were read already: classes may share a volume."""
        one, known, target = self.source.classes[number], self._known[number], self.targets[number]
        part = box.clip(known)
        if one is None or not part.size:
            return _unknown(box.shape)
        grown = part.grow(self._reach).clip(known)
        key = one.labels.url, grown
        if key not in labels:
            labels[key] = self._sampled(one.labels, grown)
        bodies = bodies_of(labels[key], target, what=one.labels.url)
        seen = None
        if one.ignore:
            seen = ~labelled(self._sampled(one.ignore, grown), what=one.ignore.url)
        people = self._sampled(one.agreement, grown, shares=True) if one.agreement else None
        truth = truth_of(bodies, target, self.voxel_nm, seen, people, self.agreement_as)
        inner = part.within(grown.start).slices
        cut = (array[inner] for array in (truth.target, truth.weight, truth.edges))
        return Truth(*(_filled(values, part, box) for values in cut))

    def _sampled(self, info: VolumeInfo, box: Box, *, shares: bool = False) -> npt.NDArray[Any]:
        (sampling, level), volume = self._samplings[info.url], self._volumes[info.url]
        sample = sampling.sample_mean if shares else sampling.sample

        def read(part: Box) -> npt.NDArray[Any]:
            return sample(volume.read(sampling.source(part), level=level), part)

        return read_in_parts(box, read, source=sampling.source, itemsize=itemsize(info.dtype))

    @cached_property
    def _image(self) -> Volume:
        return Volume(self.source.image)

    @property
    def _dtype(self) -> str:
        return "uint8" if self.source.image.dtype == "uint8" else "float32"

    @cached_property
    def _resampler(self) -> Resampling:
        return resampling_to(self.source.image, self.voxel_nm)

    @cached_property
    def _volumes(self) -> Mapping[str, Volume]:
        return {info.url: Volume(info) for info in self.source.volumes}

    @cached_property
    def _samplings(self) -> Mapping[str, tuple[Sampling, int]]:
        """How each volume is sampled, and from which of its levels."""
        image, voxel_nm = self.source.image, self.voxel_nm

        def of(info: VolumeInfo) -> tuple[Sampling, int]:
            level = level_not_coarser(info, voxel_nm) if self.from_pyramids else 0
            return sampling_of(info, image, voxel_nm, level=level)[0], level

        return {info.url: of(info) for info in self.source.volumes[1:]}

    @cached_property
    def _known(self) -> tuple[Box, ...]:
        """Where each class is labelled: beyond the box that is learnt from, too."""
        nowhere = Box((0, 0, 0), (0, 0, 0))
        return tuple(
            class_box(self.source, one, self.voxel_nm) if one else nowhere
            for one in self.source.classes
        )

    @cached_property
    def _reach(self) -> Shape:
        reaches = [reach_voxels(target, self.voxel_nm) for target in self.targets]
        return each(max, (0, 0, 0), *reaches)


def truth_of(
    bodies: npt.NDArray[Any],
    target: TargetOptions,
    voxel_nm: VoxelNm,
    seen: Mask | None = None,
    agreement: Bytes | None = None,
    agreement_as: AgreementAs = "nothing",
) -> Truth:
    """What is known of a class, from its bodies.

    `agreement` is the share of people who say "inside", times 255. What was not `seen` carries no
    loss, whatever the others say there.
    """
    made = target_of(bodies, target, voxel_nm, seen)
    if agreement is not None and agreement_as == "labels":
        made = agreement
    weight = np.full(made.shape, 255, np.uint8)
    if agreement is not None and agreement_as == "weights":
        weight = np.abs(2 * agreement.astype(np.int16) - 255).astype(np.uint8)
    if seen is not None:
        made, weight = made * seen, weight * seen
    background = target.background or target.made_from != "borders"
    edges = beside_faces(faces_of(bodies, seen, background=background), made.shape)
    return Truth(made, weight, edges)


def image_on(image: Volume, resampler: Resampling, box: Box) -> npt.NDArray[Any]:
    """The image in `box` of the new grid; 8-bit images stay 8-bit, others become float32."""

    def read(part: Box) -> npt.NDArray[Any]:
        values = read_resampled(image, resampler, part).numpy()
        refuse_not_finite(values, what=f"{image.info.url}, near voxels {resampler.source(part)},")
        return values.round().astype(np.uint8) if image.info.dtype == "uint8" else values

    return read_in_parts(box, read, source=resampler.source, itemsize=itemsize(image.info.dtype))


def _unknown(shape: Shape) -> Truth:
    """Nothing: one value for all voxels."""
    nothing = np.broadcast_to(NOTHING, shape)
    return Truth(nothing, nothing, np.broadcast_to(np.False_, shape))


def _filled(values: npt.NDArray[Any], part: Box, box: Box) -> npt.NDArray[Any]:
    """`values` of `part` in `box`, 0 around them."""
    if part == box:
        return values
    filled = np.zeros(box.shape, values.dtype)
    filled[part.within(box.start).slices] = values
    return filled


def _compact(values: Bytes) -> Bytes:
    """The same, as one number if all are equal."""
    first = values.flat[0]
    return np.broadcast_to(first, values.shape) if (values == first).all() else values


def slab_depth(box: Box) -> int:
    """Planes of a box that are read together."""
    return max(1, SLAB_VOXELS // (box.shape[1] * box.shape[2]))


def _stored_bytes(values: npt.NDArray[Any]) -> int:
    stored = [n for n, stride in zip(values.shape, values.strides, strict=True) if stride]
    return int(prod(stored) * values.itemsize)


def _some(mask: Mask, most: int, start: Shape) -> Voxels:
    """At most about `most` voxels of a mask, evenly picked, counted from `start` before it."""
    found = np.flatnonzero(mask)
    picked = found[:: max(1, len(found) // most)]
    return (np.stack(np.unravel_index(picked, mask.shape), axis=1) + start).astype(np.int32)

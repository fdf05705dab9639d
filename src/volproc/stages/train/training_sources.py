"""The volumes a network learns from, found and compared; metadata only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from volproc.errors import ConfigError
from volproc.grid.box import Box, whole_box
from volproc.grid.scale import VoxelNm
from volproc.stages.train.options import TrainOptions
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import require_labels
from volproc.volume.metadata import VolumeInfo
from volproc.volume.resampling import resampling_to
from volproc.volume.sampling import Sampling, overlap
from volproc.volume.store import open_volume

SLACK = 2.0
"""Voxels of the coarsest grid by which ends may differ: labels are drawn on coarser images."""


@dataclass(frozen=True)
class Source:
    """An image, its labels, and how often patches come from it.

    `ignore` marks voxels that carry no loss; `agreement` is the share of people who say
    "inside", times 255.
    """

    image: VolumeInfo
    labels: VolumeInfo
    weight: float = 1.0
    ignore: VolumeInfo | None = None
    agreement: VolumeInfo | None = None

    @property
    def volumes(self) -> tuple[VolumeInfo, ...]:
        """All volumes that are given."""
        return tuple(v for v in (self.image, self.labels, self.ignore, self.agreement) if v)


Find = Callable[[str], VolumeInfo]
"""The metadata of the volume at a path."""


def opened(url: str) -> VolumeInfo:
    """The metadata of a finished volume; VolumeError if there is none at `url`."""
    return open_volume(url).info


def sources_of(options: TrainOptions, find: Find = opened) -> tuple[Source, ...]:
    """The training data; ConfigError unless there is one of each kind per image."""
    weights = options.weights or (1.0,) * len(options.images)
    _require_as_many(options.images, labels=options.labels, weights=weights)
    ignore = options.ignore or ("",) * len(options.images)
    agreement = options.agreement or ("",) * len(options.images)
    if options.agreement_as == "nothing":
        agreement = ("",) * len(options.images)
    _require_as_many(options.images, ignore=ignore, agreement=agreement)
    rows = zip(options.images, options.labels, weights, ignore, agreement, strict=True)
    return tuple(
        Source(
            find(image),
            find(labels),
            weight,
            find(unseen) if unseen else None,
            find(people) if people else None,
        )
        for image, labels, weight, unseen, people in rows
    )


def held_out_of(options: TrainOptions, find: Find = opened) -> tuple[Source, ...]:
    """The validation data; ConfigError unless there are labels for every image."""
    images, labels = options.validation_images, options.validation_labels
    _require_as_many(images, validation_labels=labels)
    return tuple(Source(find(a), find(b)) for a, b in zip(images, labels, strict=True))


def require_fit(source: Source, voxel_nm: VoxelNm) -> None:
    """ConfigError or VolumeError unless a source's volumes are of the right kind and overlap."""
    image, labels = source.image, source.labels
    if labels.kind != "labels":
        raise ConfigError(f"[train] labels: {labels.url} is an image; expected a label volume")
    for marks in (labels, source.ignore):
        if marks:
            require_labels(marks)
    if image.kind != "image" or image.channels:
        raise ConfigError(f"[train] images: {image.url} is not an image of one channel")
    people = source.agreement
    if people and (people.dtype != "uint8" or people.channels):
        raise ConfigError(
            f"[train] agreement: {people.url} holds {people.dtype}; expected uint8, 0 to 255, as "
            "`volproc annotate` writes it"
        )
    learnt(source, voxel_nm)


def learnt(source: Source, voxel_nm: VoxelNm) -> Box:
    """The voxels of the model's grid that are in all volumes of a source.

    VolumeError or ConfigError, one line, if there are none.
    """
    shape = resampling_to(source.image, voxel_nm).shape_out
    found = whole_box(shape)
    for other in source.volumes[1:]:
        found = found.clip(sampling_of(other, source.image, voxel_nm)[1])
    if not found.size:
        urls = ", ".join(volume.url for volume in source.volumes)
        raise ConfigError(
            f"nothing to learn from: no voxel is in all of {urls}; name volumes "
            "of one place, or correct the translations in their metadata"
        )
    return found


def part_of(source: Source, voxel_nm: VoxelNm) -> Box | None:
    """The voxels of the model's grid that are trained on, if they are not the whole image."""
    box = learnt(source, voxel_nm)
    whole = whole_box(resampling_to(source.image, voxel_nm).shape_out)
    return None if box == whole else box


def identity_of(source: Source, voxel_nm: VoxelNm) -> tuple[object, ...]:
    """All of a source that weights depend on, for a digest."""
    part = part_of(source, voxel_nm)
    where = (part.start, part.stop) if part else ()
    return (*(fingerprint(volume) for volume in source.volumes), source.weight, *where)


def sampling_of(info: VolumeInfo, image: VolumeInfo, voxel_nm: VoxelNm) -> tuple[Sampling, Box]:
    """How to sample `info` on the model's grid on `image`, and the voxels of that grid in both."""
    shape = resampling_to(image, voxel_nm).shape_out
    return overlap(info, image, grid=(shape, voxel_nm), slack=SLACK)


def _require_as_many(images: Sequence[str], **lists: Sequence[object]) -> None:
    def counts() -> Iterator[str]:
        yield f"{len(images)} images"
        yield from (f"{len(values)} {name}" for name, values in lists.items())

    if any(len(values) != len(images) for values in lists.values()):
        raise ConfigError(f"[train] has {', '.join(counts())}; give one of each per image")

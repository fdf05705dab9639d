"""The volumes a network learns from, found and compared; metadata only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import ceil

from volproc.errors import ConfigError
from volproc.grid.box import Box, each, whole_box
from volproc.grid.crop import box_in
from volproc.grid.scale import VoxelNm
from volproc.stages.model_fit import why_too_coarse
from volproc.stages.train.data_options import DataOptions, OfClasses, TargetOptions
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
class ClassLabels:
    """What is known of one class in an image.

    `ignore` marks voxels that carry no loss; `agreement` is the share of people who say
    "inside", times 255.
    """

    labels: VolumeInfo
    ignore: VolumeInfo | None = None
    agreement: VolumeInfo | None = None

    @property
    def volumes(self) -> tuple[VolumeInfo, ...]:
        """All volumes that are given."""
        return tuple(v for v in (self.labels, self.ignore, self.agreement) if v)


@dataclass(frozen=True)
class Source:
    """An image, the labels of each class in it, and how often patches come from it."""

    image: VolumeInfo
    classes: tuple[ClassLabels | None, ...]
    """In the order of [train] classes; None for a class that is not labelled here."""
    weight: float = 1.0
    box: Box | None = None
    """The voxels of the image that are used, if not all."""

    @property
    def volumes(self) -> tuple[VolumeInfo, ...]:
        """All volumes that are given, each once, the image first."""
        marked = (volume for one in self.classes if one for volume in one.volumes)
        return tuple({volume.url: volume for volume in (self.image, *marked)}.values())


Find = Callable[[str], VolumeInfo]
"""The metadata of the volume at a path."""


def opened(url: str) -> VolumeInfo:
    """The metadata of a finished volume; VolumeError if there is none at `url`."""
    return open_volume(url).info


def sources_of(options: TrainOptions, find: Find = opened) -> tuple[Source, ...]:
    """The training data; ConfigError unless there is one of each kind per image."""
    weights = options.weights or (1.0,) * len(options.images)
    ignore = options.ignore or ("",) * len(options.images)
    agreement = options.agreement or ("",) * len(options.images)
    columns = {"labels": options.labels, "weights": weights}
    _require_as_many(options.images, **columns, ignore=ignore, agreement=agreement)
    rows = zip(options.images, options.labels, ignore, agreement, weights, strict=True)
    short = (
        DataOptions(image=a, labels=b, ignore=c, agreement=d, weight=e) for a, b, c, d, e in rows
    )
    return _sources((*short, *options.data), options, find, table="train.data")


def held_out_of(options: TrainOptions, find: Find = opened) -> tuple[Source, ...]:
    """The validation data; ConfigError unless there are labels for every image."""
    images, labels = options.validation_images, options.validation_labels
    _require_as_many(images, validation_labels=labels)
    short = (DataOptions(image=a, labels=b) for a, b in zip(images, labels, strict=True))
    return _sources((*short, *options.validation), options, find, table="train.validation")


def _sources(
    entries: Sequence[DataOptions], options: TrainOptions, find: Find, *, table: str
) -> tuple[Source, ...]:
    _require_classes(options)
    found = tuple(_source(entry, options, find, where=f"[[{table}]]") for entry in entries)
    for source in found:
        _require_different(source, options)
    return found


def _source(entry: DataOptions, options: TrainOptions, find: Find, *, where: str) -> Source:
    classes = options.classes
    if not entry.image:
        raise ConfigError(f"{where} has no image; give image and labels")
    labels = _by_class(entry.labels, classes, f"{where} labels of {entry.image}")
    if not any(labels.values()):
        raise ConfigError(f"{where} image = {entry.image!r} has no labels; give its label volume")
    ignore = _by_class(entry.ignore, classes, f"{where} ignore of {entry.image}")
    agreement = _by_class(entry.agreement, classes, f"{where} agreement of {entry.image}")
    known = options.agreement_as != "nothing"

    def of(name: str) -> ClassLabels | None:
        if not labels[name]:
            return None
        marks = find(labels[name])  # first: a run that lacks several names these
        unseen, people = ignore[name], agreement[name] if known else ""
        seen, said = (find(url) if url else None for url in (unseen, people))
        return ClassLabels(marks, seen, said)

    image = find(entry.image)
    box = box_in(entry.box, image.shape, image.voxel_nm) if entry.box else None
    return Source(image, tuple(map(of, classes)), entry.weight, box)


def _by_class(given: OfClasses, classes: Sequence[str], what: str) -> Mapping[str, str]:
    """The volume of each class, "" for none."""
    if isinstance(given, str):
        return dict.fromkeys(classes, given)
    if odd := sorted(set(given) - set(classes)):
        raise ConfigError(f"{what} names {odd[0]!r}, which [train] classes = {[*classes]} lacks")
    return {name: given.get(name, "") for name in classes}


def _require_classes(options: TrainOptions) -> None:
    """ConfigError unless classes are there, differ, and are those that have targets."""
    classes = options.classes
    if not classes or not all(classes):
        raise ConfigError(f"[train] classes = {[*classes]}; name at least one, none empty")
    if twice := [name for name in classes if classes.count(name) > 1]:
        raise ConfigError(f"[train] classes names {twice[0]!r} twice; name each class once")
    if odd := sorted(set(options.targets) - set(classes)):
        raise ConfigError(
            f"[train.targets.{odd[0]}]: [train] classes = {[*classes]} has no such class"
        )


def _require_different(source: Source, options: TrainOptions) -> None:
    """ConfigError if two classes would be the same voxels."""
    seen: dict[tuple[str, TargetOptions], str] = {}
    for name, one in zip(options.classes, source.classes, strict=True):
        if one is None:
            continue
        target = options.targets.get(name, TargetOptions())
        other = seen.setdefault((one.labels.url, target), name)
        if other != name:
            raise ConfigError(
                f"[train] {other} and {name} would be learnt from the same voxels of "
                f"{one.labels.url}: give [train.targets] that tell them apart, such as from = "
                '"values", or a label volume of its own to each'
            )


def require_fit(source: Source, voxel_nm: VoxelNm) -> None:
    """ConfigError or VolumeError unless a source's volumes are of the right kind and overlap."""
    image = source.image
    for one in filter(None, source.classes):
        if one.labels.kind != "labels":
            raise ConfigError(
                f"[train] labels: {one.labels.url} is an image; expected a label volume"
            )
        for marks in filter(None, (one.labels, one.ignore)):
            require_labels(marks)
        people = one.agreement
        if people and (people.dtype != "uint8" or people.channels):
            raise ConfigError(
                f"[train] agreement: {people.url} holds {people.dtype}; expected uint8, 0 to 255, "
                "as `volproc annotate` writes it"
            )
    if image.kind != "image" or image.channels:
        raise ConfigError(f"[train] images: {image.url} is not an image of one channel")
    if why := why_too_coarse(image, voxel_nm):
        raise ConfigError(f"[train] voxel_nm = {[*voxel_nm]}: {why}")
    learnt(source, voxel_nm)


def class_box(source: Source, one: ClassLabels, voxel_nm: VoxelNm) -> Box:
    """The voxels of the model's grid where a class is labelled: those in all of its volumes."""
    found = whole_box(resampling_to(source.image, voxel_nm).shape_out)
    for volume in one.volumes:
        found = found.clip(sampling_of(volume, source.image, voxel_nm)[1])
    return found


def learnt(source: Source, voxel_nm: VoxelNm) -> Box:
    """The voxels of the model's grid that are used: of `box`, those around all labelled ones.

    VolumeError or ConfigError, one line, if there are none.
    """
    within = _model_box(source, voxel_nm)
    boxes = [class_box(source, one, voxel_nm).clip(within) for one in source.classes if one]
    if not any(box.size for box in boxes):
        urls = ", ".join(volume.url for volume in source.volumes)
        part = f" in voxels {source.box} of the image" if source.box else ""
        raise ConfigError(
            f"nothing to learn from: no voxel{part} is in all of {urls}; name volumes "
            "of one place, or correct the translations in their metadata"
        )
    return reduce(_around, (box for box in boxes if box.size))


def _around(one: Box, other: Box) -> Box:
    return Box(each(min, one.start, other.start), each(max, one.stop, other.stop))


def _model_box(source: Source, voxel_nm: VoxelNm) -> Box:
    """The voxels of the model's grid whose centres lie in the part of the image that is used."""
    whole = whole_box(resampling_to(source.image, voxel_nm).shape_out)
    if source.box is None or source.box == source.image.box:
        return whole

    def first(end: int, size: int, here: float, there: float, size_out: int) -> int:
        # the grid's end is the image's, whichever of them is a little longer
        return size_out if end == size else ceil(end * here / there - 0.5 - 1e-6)

    both = source.image.shape, source.image.voxel_nm, voxel_nm, whole.stop
    start, stop = (each(first, end, *both) for end in (source.box.start, source.box.stop))
    return Box(start, stop).clip(whole)


def part_of(source: Source, voxel_nm: VoxelNm) -> Box | None:
    """The voxels of the model's grid that are used, if they are fewer than were asked for."""
    box = learnt(source, voxel_nm)
    return None if box == _model_box(source, voxel_nm) else box


def identity_of(source: Source, voxel_nm: VoxelNm) -> tuple[object, ...]:
    """All of a source that weights depend on, for a digest."""
    box = learnt(source, voxel_nm)
    classes = tuple(
        one and [v and fingerprint(v) for v in (one.labels, one.ignore, one.agreement)]
        for one in source.classes
    )
    return (fingerprint(source.image), classes, source.weight, box.start, box.stop)


def sampling_of(
    info: VolumeInfo, image: VolumeInfo, voxel_nm: VoxelNm, *, level: int = 0
) -> tuple[Sampling, Box]:
    """How to sample a level of `info` on a grid on `image`, and the voxels of that grid in both."""
    shape = resampling_to(image, voxel_nm).shape_out
    return overlap(info, image, level=level, grid=(shape, voxel_nm), slack=SLACK)


def apart(
    sources: Sequence[Source], held_out: Sequence[Source], *, margin_nm: float
) -> tuple[Source, ...]:
    """The training data without what is held out of the same images, and the margin around it.

    A source without a box of its own is cut to the largest part that is left; ConfigError where
    one with a box reaches into what is held out.
    """

    def beside_all(source: Source) -> Source:
        return reduce(_beside(margin_nm, chosen=source.box is not None), held_out, source)

    return tuple(map(beside_all, sources))


def _beside(margin_nm: float, *, chosen: bool) -> Callable[[Source, Source], Source]:
    """Cuts a source to what lies beside one that is held out; a `chosen` box is refused instead."""

    def cut(source: Source, held: Source) -> Source:
        if source.image.url != held.image.url:
            return source
        margin = each(lambda nm: ceil(margin_nm / nm - 1e-6), source.image.voxel_nm)
        kept_away = (held.box or held.image.box).grow(margin).clip(source.image.box)
        own = source.box or source.image.box
        if not own.clip(kept_away).size:
            return source
        left = max(_remaining(own, kept_away), key=lambda box: box.size)
        if chosen or not left.size:
            raise ConfigError(
                f"[train] voxels {own} of {source.image.url} are trained on, and voxels "
                f"{held.box or held.image.box} held out (margin_nm = {margin_nm:g}); give boxes "
                "that lie apart"
            )
        return replace(source, box=left)

    return cut


def _remaining(box: Box, hole: Box) -> Iterator[Box]:
    """What of a box is left beside a hole in it, on either side of each axis."""
    for axis in range(3):
        for start, stop in (
            (box.start[axis], hole.start[axis]),
            (hole.stop[axis], box.stop[axis]),
        ):
            yield Box(_with(box.start, axis, start), _with(box.stop, axis, stop))


def _with(triple: tuple[int, int, int], axis: int, value: int) -> tuple[int, int, int]:
    return each(lambda a, v: value if a == axis else v, range(3), triple)


def _require_as_many(images: Sequence[str], **lists: Sequence[object]) -> None:
    def counts() -> Iterator[str]:
        yield f"{len(images)} images"
        yield from (f"{len(values)} {name}" for name, values in lists.items())

    if any(len(values) != len(images) for values in lists.values()):
        raise ConfigError(f"[train] has {', '.join(counts())}; give one of each per image")

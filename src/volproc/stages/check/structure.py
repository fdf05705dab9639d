"""What is known without reading a voxel: groups, metadata, levels, the list of files."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

from volproc.errors import VolprocError
from volproc.stages.check.findings import Finding, error, warning
from volproc.stages.check.level_metadata import FoundImage, compared, levels_of
from volproc.volume.metadata import Kind
from volproc.volume.ome import multiscales_of
from volproc.volume.presence import has_all_chunks
from volproc.volume.stored_arrays import StoredGroup, group_at, model_error

ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What metadata of an unexpected form makes Python raise."""

Found = tuple[list[Finding], list[FoundImage]]
"""What is wrong, and the images in which voxels can be looked at."""


def structure_of(url: str) -> Found:
    """Every image at and below `url`: one, with its labels, or a bioformats2raw series of them.

    VolumeError if nothing is at `url`.
    """
    group = group_at(url)
    if group is None:
        return [error(url, "is not an OME-Zarr volume: no zarr group can be opened there")], []
    stated = _ome(group)
    if "plate" in stated or "well" in stated:
        return [error(url, "is a plate or a well; check its images one by one")], []
    if "multiscales" not in stated and "bioformats2raw.layout" in stated:
        return _series(group)
    return _image(group, kind="labels" if "image-label" in stated else "image")


def _series(group: StoredGroup) -> Found:
    """The images of a bioformats2raw layout: as listed in OME/, else 0, 1, 2 and so on."""
    listed = _listed(f"{group.url}/OME", "series")
    names = listed or [str(n) for n in range(_first_absent(group.url))]
    if not names:
        return [error(group.url, "is a bioformats2raw series without images (0, 1, ...)")], []
    return _all(f"{group.url}/{name}" for name in names)


def _image(group: StoredGroup, *, kind: Kind) -> Found:
    """The images of a group, nearly always one, and their labels."""
    found: list[Finding] = []
    images: list[FoundImage] = []
    try:
        for multiscale in multiscales_of(group.attributes, url=group.url):
            more, image = _image_itself(group, multiscale, kind)
            found += more
            images.append(image)
    except (*ODD, VolprocError) as problem:
        reported = model_error(group.url, labels=kind == "labels") or str(problem)
        return [error(group.url, f"its metadata is not OME-Zarr: {reported}")], []
    labels = _labels(group) if kind == "image" else ([], [])
    found += labels[0]
    if len(images) > 1:
        reported = f"holds {len(images)} multiscale images, of which viewers show the first"
        found.append(warning(group.url, reported))
    if not found:  # what is wrong already has a better name
        found += _by_models(images[0])
    return found, [*images, *labels[1]]


def _by_models(image: FoundImage) -> list[Finding]:
    """What else ome-zarr-models requires; much that others wrote lacks a detail and can be read."""
    reported = model_error(image.url, labels=image.kind == "labels")
    severity = error if image.ours else warning
    return [severity(image.url, f"ome-zarr-models refuses it: {reported}")] if reported else []


def _image_itself(
    group: StoredGroup, multiscale: dict[str, Any], kind: Kind
) -> tuple[list[Finding], FoundImage]:
    provenance = dict(group.attributes.get("volproc", {}))
    found, levels = levels_of(multiscale, group.url)
    image = FoundImage(
        url=group.url,
        kind=kind,
        ours=bool(provenance),
        finished=not provenance or bool(provenance.get("finished")),
        levels=tuple(levels),
        complete=has_all_chunks(provenance, kind),
    )
    if not image.finished:
        step = provenance.get("step", "volproc")
        found.append(error(group.url, f"is unfinished: the {step} step was interrupted"))
    axes = [axis["name"] for axis in multiscale["axes"]]
    shape = levels[0].array.shape if levels else ()
    found += [*compared(image), *_display(group, axes, shape)]
    if kind == "labels" and levels and not levels[0].array.dtype.lstrip("u").startswith("int"):
        found.append(error(group.url, f"labels are {levels[0].array.dtype}; expected integers"))
    return found, image


def _labels(group: StoredGroup) -> Found:
    """The labels that an image lists."""
    return _all(f"{group.url}/labels/{name}" for name in _listed(f"{group.url}/labels", "labels"))


def _all(urls: Iterator[str]) -> Found:
    found: list[Finding] = []
    images: list[FoundImage] = []
    for url in urls:
        try:
            more = structure_of(url)
        except VolprocError as problem:
            more = [error(url, f"is listed, but {problem}")], []
        found += more[0]
        images += more[1]
    return found, images


def _display(group: StoredGroup, axes: list[str], shape: tuple[int, ...]) -> Iterator[Finding]:
    """Settings that a viewer could not show the image with."""
    channels = _ome(group).get("omero", {}).get("channels", [])
    count = shape[axes.index("c")] if "c" in axes and len(shape) == len(axes) else 1
    if channels and shape and len(channels) != count:
        yield warning(group.url, f"omero names {len(channels)} channels, the arrays have {count}")
    for channel in channels:
        window = channel.get("window", {})
        low, high = window.get("start", 0), window.get("end", 1)
        if not (isfinite(low) and isfinite(high) and low < high):
            name = channel.get("label", "a channel")
            yield error(group.url, f"omero window of {name} goes from {low} to {high}")


def _ome(group: StoredGroup) -> dict[str, Any]:
    found = group.attributes.get("ome", group.attributes)
    return found if isinstance(found, dict) else {}


def _listed(url: str, key: str) -> list[str]:
    """Names that the group at `url` lists under `key`; none where there is no such group."""
    try:
        group = group_at(url)
    except VolprocError:
        return []
    return [str(name) for name in _ome(group).get(key, [])] if group else []


def _first_absent(url: str) -> int:
    number = 0
    while _is_group(f"{url}/{number}"):
        number += 1
    return number


def _is_group(url: str) -> bool:
    try:
        return group_at(url) is not None
    except VolprocError:
        return False

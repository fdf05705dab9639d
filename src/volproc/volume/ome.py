"""OME-Zarr's JSON: what is written of a volume, and what is understood of others' volumes.

0.4 and 0.5 (https://ngff.openmicroscopy.org/0.5) are written and read; of the versions before,
which state no voxel size, axes and levels are understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from volproc.errors import VolumeError
from volproc.grid.axes import axis_of
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.grid.units import in_nm, nm_per
from volproc.volume.metadata import Level, VolumeInfo, Window
from volproc.volume.transformations import Placement, TransformationError, placement

Triple = tuple[float, float, float]
"""One number for each of z, y and x."""


class NoVoxelSizeError(VolumeError):
    """A volume whose metadata state no voxel size, or not in a unit of length."""


class OtherAxesError(VolumeError):
    """An image whose axes do not end with z, y, x: `volproc ingest` brings them in order."""


def to_ome(info: VolumeInfo) -> dict[str, Any]:
    """Attributes of the group in the volume's version, with volproc's own record beside them."""
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] if info.channels else []
    axes += [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    name = info.url.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr")
    old = {"version": info.version} if info.version == "0.4" else {}
    multiscale = {
        **old,
        "name": name,
        "axes": axes,
        "datasets": [_dataset(level, channel_axis=bool(info.channels)) for level in info.levels],
    }
    ome: dict[str, Any] = {"multiscales": [multiscale]}
    if info.kind == "labels":
        # at IMAGE.zarr/labels/NAME viewers look for the image two folders up
        inside = info.url.rstrip("/").rpartition("/")[0].endswith("/labels")
        source = {"source": {"image": "../../"}} if inside else {}
        ome["image-label"] = {"version": info.version, **source}
    elif info.window:
        ome["omero"] = {"channels": [*_channels(info.channels or (name,), info.window)]}
    if info.version == "0.4":
        return {**ome, "volproc": info.provenance}
    return {"ome": {"version": info.version, **ome}, "volproc": info.provenance}


def _dataset(level: Level, *, channel_axis: bool) -> dict[str, Any]:
    scale = [1.0] * channel_axis + list(level.voxel_nm)
    translation = [0.0] * channel_axis + list(level.translation_nm)
    return {
        "path": level.path,
        "coordinateTransformations": [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": translation},
        ],
    }


OF_AXES = {"x": "FF0000", "y": "00FF00", "z": "0000FF"}
OF_CLASSES = ("E69F00", "56B4E9", "009E73", "CC79A7", "F0E442", "D55E00", "0072B2")
"""Colours that colour-blind people tell apart (Okabe and Ito), the brightest first where few."""


def _channels(labels: Sequence[str], window: Window) -> Iterator[dict[str, Any]]:
    """As viewers show them: axes red, green and blue, at first those of the first class only."""
    first = labels[0].rpartition(" ")[0]
    for n, label in enumerate(labels):
        of_class, _, axis = label.rpartition(" ")
        several = OF_CLASSES[n % len(OF_CLASSES)] if len(labels) > 1 else "FFFFFF"
        colour = OF_AXES.get(axis, several)
        shown = of_class == first or axis not in OF_AXES
        yield {"label": label, "color": colour, "active": shown, "window": window._asdict()}


def multiscales_of(attributes: dict[str, Any], *, url: str) -> list[dict[str, Any]]:
    """Every multiscale of 0.5 (under "ome") or earlier attributes; VolumeError if there is none."""
    found = attributes.get("ome", attributes).get("multiscales")
    if not found:
        raise VolumeError(
            f"{url} is not an OME-Zarr image: its metadata has no multiscales; "
            "convert it with `volproc ingest SOURCE OUT.zarr`"
        )
    return [_with_named_axes(one) for one in found]


def multiscale_of(attributes: dict[str, Any], *, url: str, level: str = "") -> dict[str, Any]:
    """The only multiscale, or the one that has a level of this path; VolumeError otherwise."""
    every = multiscales_of(attributes, url=url)
    fitting = [one for one in every if not level or level in paths_of(one)]
    if len(fitting) != 1:
        listed = "; ".join(f"{one.get('name', '?')}: {', '.join(paths_of(one))}" for one in every)
        first = f"{url}/{next(iter(paths_of(every[0])), '0')}"
        raise VolumeError(
            f"{url} holds {len(every)} multiscale images ({listed}); take one of them by its "
            f"finest level: volproc ingest {first} OUT.zarr"
        )
    return fitting[0]


def paths_of(multiscale: dict[str, Any]) -> list[str]:
    """The paths of its levels, as listed."""
    return [str(dataset["path"]) for dataset in multiscale["datasets"]]


def _with_named_axes(multiscale: dict[str, Any]) -> dict[str, Any]:
    systems = multiscale.get("coordinateSystems") or [{}]  # what 0.6 has in place of axes
    axes = multiscale.get("axes", systems[0].get("axes", list("tczyx")))  # up to 0.2 always these
    named = [{"name": axis} if isinstance(axis, str) else axis for axis in axes]  # 0.3: names only
    return {**multiscale, "axes": [{**axis, "name": _axis_name(axis)} for axis in named]}


def _axis_name(axis: dict[str, Any]) -> str:
    """Its letter, by its name or its type; as it is called, if neither says."""
    types = {"time": "t", "channel": "c"}
    return axis_of(axis.get("name")) or types.get(axis.get("type", ""), str(axis.get("name")))


def spatial_axes(multiscale: dict[str, Any], *, url: str) -> tuple[int, Triple]:
    """How many axes stand before z, y, x, and the nm in one unit of each; VolumeError if not so."""
    axes = multiscale.get("axes", [])
    names = [axis.get("name") for axis in axes]
    if names[-3:] != ["z", "y", "x"] or not set(names[:-3]) <= {"t", "c"}:
        raise OtherAxesError(
            f"{url} has axes {names}; a volume needs (t, c,) z, y, x: bring them in that order "
            f"with `volproc ingest {url} OUT.zarr`"
        )
    z, y, x = (unit_nm(axis, url=url) for axis in axes[-3:])
    return len(names) - 3, (z, y, x)


def unit_nm(axis: dict[str, Any], *, url: str) -> float:
    """nm in one unit of an axis; NoVoxelSizeError if it states none, or none of length."""
    nm = nm_per(axis.get("unit"))
    if nm is None:
        raise NoVoxelSizeError(
            f"{url} gives its axis {axis.get('name')} the unit {axis.get('unit')}; expected one of "
            "length, such as nanometer; state the voxel size with --voxel-nm Z Y X"
        )
    return nm


def scale_and_translation(
    dataset: dict[str, Any],
    multiscale: dict[str, Any],
    *,
    space: Sequence[int],
    nm: Triple,
    url: str,
) -> tuple[VoxelNm, Triple]:
    """Voxel size and offset of a level in nm, the multiscale's own transformations included.

    `space` are the places of z, y and x among the axes.
    """
    found, where = _placement(dataset, multiscale, url=url)
    scale = [found.scale[axis] for axis in space]
    if not found.scaled or not min(scale) > 0:
        raise NoVoxelSizeError(
            f"{where} has voxel size {scale if found.scaled else 'none'}; expected three positive "
            "numbers; state them with --voxel-nm Z Y X"
        )
    z, y, x = (found.offset[axis] * n for axis, n in zip(space, nm, strict=True))
    return parse_voxel_nm([s * n for s, n in zip(scale, nm, strict=True)]), (z, y, x)


def sizes_and_offsets(
    dataset: dict[str, Any], multiscale: dict[str, Any], *, url: str
) -> dict[str, tuple[float | None, float]]:
    """Voxel size and offset of a level in nm by the names of its axes, in whatever order these are.

    The size is None where it is not stated, or not as a length; the offset is then in voxels.
    """
    found, _ = _placement(dataset, multiscale, url=url)
    stated = {}
    for axis, scale, offset in zip(multiscale["axes"], found.scale, found.offset, strict=True):
        nm = in_nm(scale, axis.get("unit")) if found.scaled else None
        there = offset * (nm_per(axis.get("unit")) or 1) if nm else offset / (scale or 1)
        stated[axis["name"]] = (nm, there)
    return stated


def _placement(
    dataset: dict[str, Any], multiscale: dict[str, Any], *, url: str
) -> tuple[Placement, str]:
    """The transformations of a level together, and what a message calls it."""
    steps = list(dataset.get("coordinateTransformations", []))
    if "coordinateSystems" not in multiscale:  # from there 0.6 goes on to other systems
        steps += multiscale.get("coordinateTransformations", [])
    where = f"{url} level {dataset.get('path')}"
    try:
        found = placement(steps, count=len(multiscale["axes"]))
    except TransformationError as error:
        raise VolumeError(
            f"{where} has {error}; volumes are read that state a scale and a translation: resample "
            "it, or correct its metadata"
        ) from error
    scale = list(found.scale)
    if min(scale) < 0:
        raise VolumeError(
            f"{where} has the scale {scale}: an axis that runs backwards; mirror its voxels and "
            "state a positive scale"
        )
    return found, where

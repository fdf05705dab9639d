"""OME-Zarr's JSON: what is written of a volume, and what is understood of others' volumes.

0.4 and 0.5 (https://ngff.openmicroscopy.org/0.5) are written and read; of the versions before,
which state no voxel size, axes and levels are understood.
"""

from __future__ import annotations

from typing import Any

from volproc.errors import VolumeError
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.volume.metadata import Level, VolumeInfo, Window

NM_PER_UNIT = {
    "angstrom": 0.1,
    "picometer": 1e-3,
    "nanometer": 1.0,
    "micrometer": 1e3,
    "millimeter": 1e6,
    "meter": 1e9,
}


class NoVoxelSizeError(VolumeError):
    """A volume whose metadata state no voxel size, or not in a unit of length."""


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
        ome["omero"] = {
            "channels": [_channel(label, info.window) for label in info.channels or (name,)]
        }
    if info.version == "0.4":
        return {**ome, "volproc": info.made_by}
    return {"ome": {"version": info.version, **ome}, "volproc": info.made_by}


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


def _channel(label: str, window: Window) -> dict[str, Any]:
    colour = {"x": "FF0000", "y": "00FF00", "z": "0000FF"}.get(label, "FFFFFF")
    return {"label": label, "color": colour, "active": True, "window": window._asdict()}


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
    axes = multiscale.get("axes", list("tczyx"))  # up to 0.2 there were always these five
    named = [{"name": axis} if isinstance(axis, str) else axis for axis in axes]  # 0.3: names only
    return {**multiscale, "axes": named}


def spatial_axes(multiscale: dict[str, Any], *, url: str) -> tuple[int, float]:
    """How many axes stand before z, y, x, and the nm in one unit; VolumeError if not so."""
    axes = multiscale.get("axes", [])
    names = [axis.get("name") for axis in axes]
    if names[-3:] != ["z", "y", "x"] or not set(names[:-3]) <= {"t", "c"}:
        raise VolumeError(f"{url} has axes {names}; a volume needs (t, c,) z, y, x")
    units = {axis.get("unit") for axis in axes[-3:]}
    if len(units) != 1 or units - set(NM_PER_UNIT):
        raise NoVoxelSizeError(
            f"{url} gives its axes the unit {sorted(map(str, units))}, expected one of "
            f"{', '.join(NM_PER_UNIT)}; state the voxel size with --voxel-nm Z Y X"
        )
    return len(names) - 3, NM_PER_UNIT[units.pop()]


def _steps(dataset: dict[str, Any], multiscale: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *dataset.get("coordinateTransformations", []),
        *multiscale.get("coordinateTransformations", []),
    ]


def refuse_backwards(dataset: dict[str, Any], multiscale: dict[str, Any], *, url: str) -> None:
    """VolumeError for an axis that runs backwards, which no voxel size can put right."""
    for step in _steps(dataset, multiscale):
        scale = step.get("scale")
        if isinstance(scale, list) and any(isinstance(s, int | float) and s < 0 for s in scale):
            raise VolumeError(
                f"{url} level {dataset.get('path')} has the scale {scale}: an axis that runs "
                "backwards; mirror its voxels and state a positive scale"
            )


def scale_and_translation(
    dataset: dict[str, Any], multiscale: dict[str, Any], *, leading: int, nm: float, url: str
) -> tuple[VoxelNm, tuple[float, float, float]]:
    """Voxel size and offset of a level in nm, the multiscale's own transformations included."""
    scale, offset = [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]
    refuse_backwards(dataset, multiscale, url=url)
    steps = _steps(dataset, multiscale)
    for step in steps:
        values = step.get(step["type"], [1.0] * (leading + 3))[leading:]
        if len(values) != 3:
            raise VolumeError(
                f"{url} level {dataset.get('path')} has {len(values)} numbers of {step['type']} "
                "for z, y, x; expected three; state the voxel size with --voxel-nm Z Y X"
            )
        if step["type"] == "scale":
            scale = [a * b for a, b in zip(scale, values, strict=True)]
            offset = [a * b for a, b in zip(offset, values, strict=True)]
        elif step["type"] == "translation":
            offset = [a + b for a, b in zip(offset, values, strict=True)]
    if not steps or not min(scale) > 0:
        raise NoVoxelSizeError(
            f"{url} level {dataset.get('path')} has voxel size {scale if steps else 'none'}; "
            "expected three positive numbers; state them with --voxel-nm Z Y X"
        )
    z, y, x = (o * nm for o in offset)
    return parse_voxel_nm([s * nm for s in scale]), (z, y, x)

"""Runs and volumes in napari: what it shows of a run's folder or a volume dropped on it.

napari finds it by `napari.yaml`. Everything lies in nm, where its metadata put it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from typing import Any

from volproc.viewing.layers import channels_of
from volproc.viewing.scene import Scene, scene_of
from volproc.volume.access import exists
from volproc.volume.file_io import read_file
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume

LayerData = tuple[Any, dict[str, Any], str]
"""Data, settings and kind of a layer, as napari takes them."""
AXES = ("z", "y", "x")
POINT_NM = 400.0


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """What reads `path`, a run's folder or volumes; None for anything else."""
    places = [path] if isinstance(path, str) else list(path)
    ours = all(
        place.rstrip("/").endswith(".zarr") or exists(f"{place}/workflow.json") for place in places
    )
    return read if ours else None


def read(path: str | Sequence[str]) -> list[LayerData]:
    """The layers of a run or of volumes; VolumeError or ConfigError says what is wrong."""
    scene = scene_of([path] if isinstance(path, str) else list(path))
    layers = [layer for info in scene.volumes for layer in _layers(scene, info)]
    return [*layers, *_points(scene)]


def _layers(scene: Scene, info: VolumeInfo) -> list[LayerData]:
    levels = [Volume(info).dask(number) for number in range(len(info.levels))]
    how = {
        "scale": tuple(info.voxel_nm),
        "translate": info.levels[0].translation_nm,
        "units": ("nanometer",) * 3,
        "axis_labels": AXES,
        "visible": info.url in scene.visible,
        "name": scene.name(info),
    }
    if info.kind == "labels":
        features = _features(scene) if info is scene.measured else {}
        return [(levels, {**how, "features": features, "opacity": 0.5}, "labels")]
    channels = channels_of(info)
    if not info.channels:
        return [(levels, {**how, **_shown(channels[0]), "blending": "additive"}, "image")]
    return [
        (
            [level[number] for level in levels],
            {**how, **_shown(one), "name": f"{how['name']} {name}", "blending": "additive"},
            "image",
        )
        for number, (name, one) in enumerate(zip(info.channels, channels, strict=True))
    ]


def _shown(channel: dict[str, Any]) -> dict[str, Any]:
    """Colour and grey range as the metadata state them."""
    from napari.utils.colormaps import Colormap

    name = channel["color"]
    rgb = [int(name[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    window = channel.get("window")
    limits = {"contrast_limits": (window["start"], window["end"])} if window else {}
    return {"colormap": Colormap([[0, 0, 0, 1], [*rgb, 1]], name=f"#{name}"), **limits}


def _features(scene: Scene) -> dict[str, list[Any]]:
    """Columns of the table of objects, the first one called `index` as napari wants it."""
    rows = list(csv.DictReader(read_file(scene.table).decode().splitlines())) if scene.table else []
    names = list(rows[0]) if rows else []
    columns = {name: [_number(row[name]) for row in rows] for name in names}
    return {"index": columns.pop("id"), **columns} if columns else {}


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _points(scene: Scene) -> list[LayerData]:
    """The middles of the objects in the order of the list: the most doubtful, or the largest."""
    if not scene.objects:
        return []
    features = {
        "id": [one.id for one in scene.objects],
        "said": [one.said for one in scene.objects],
    }
    how = {
        "name": "listed objects",
        "features": features,
        "units": ("nanometer",) * 3,
        "axis_labels": AXES,
        "size": POINT_NM,
        "text": "id",
        "visible": False,
    }
    return [([one.place_nm for one in scene.objects], how, "points")]

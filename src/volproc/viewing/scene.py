"""What is looked at: the volumes of a run in their order, or those that are named."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from volproc.errors import ConfigError, VolumeError
from volproc.location import name_of
from volproc.volume.access import exists, url_from
from volproc.volume.creation import provenance_of
from volproc.volume.file_io import read_file, sibling
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import open_volume

OF_RUN = (
    *("image", "filtered", "prediction", "votes", "votes-agreement", "votes-disagreement"),
    "objects",
)
"""Names in a run's folder, from below to above. The lowest and the labels are seen first."""
EDITED = "edited"
"""The objects with edits: they are shown in the objects' place, and by their name."""
MOST_LISTED = 5000
MOST_MESHES = 200
"""Objects whose meshes are shown from the beginning: each is fetched."""


@dataclass(frozen=True)
class Listed:
    """An object of the list: where its middle is in nm (z, y, x), and what is said of it."""

    id: int
    place_nm: tuple[float, float, float]
    said: str


@dataclass(frozen=True)
class Scene:
    """Volumes from below to above, the meshes of the first labels, and the objects of the list."""

    volumes: tuple[VolumeInfo, ...]
    visible: tuple[str, ...]
    """URLs of those that are seen first."""
    meshes: str = ""
    """Folder of neuroglancer's precomputed meshes, "" for none."""
    table: str = ""
    """The table of the first labels' objects, "" for none."""
    objects: tuple[Listed, ...] = ()
    saved_as: str = ""
    """The file in which the view is kept, "" for none."""

    def __post_init__(self) -> None:
        for info in self.volumes:
            if info.kind == "labels" and np.dtype(info.dtype).kind not in "bui":
                raise VolumeError(
                    f"{info.url} is marked as labels and holds {info.dtype}; labels are whole "
                    "numbers: save it as uint32, or as an image"
                )

    @property
    def measured(self) -> VolumeInfo | None:
        """The labels that the list and the meshes are of: the first ones."""
        return next((info for info in self.volumes if info.kind == "labels"), None)

    def name(self, info: VolumeInfo) -> str:
        """What a volume is called."""
        name = name_of(info.url).removesuffix(".zarr")
        return OF_RUN[-1] if name == EDITED else name

    @property
    def first(self) -> VolumeInfo:
        """The volume whose voxels the axes count."""
        return self.volumes[0]


def scene_of(places: Sequence[str]) -> Scene:
    """The scene of a run's folder, or of volumes; ConfigError or VolumeError says what is wrong."""
    first, *more = (place.rstrip("/") for place in places)
    if exists(f"{first}/workflow.json"):
        return _of_run(first, more)
    meshes = [place for place in places if _are_meshes(place)]
    volumes = tuple(open_volume(place).info for place in places if place not in meshes)
    if not volumes:
        raise ConfigError(f"{first} has meshes only; name the volumes that they lie in, too")
    return Scene(volumes, tuple(info.url for info in volumes), meshes="".join(meshes[-1:]))


def _are_meshes(place: str) -> bool:
    return exists(f"{place}/info")


def _of_run(run: str, more: Sequence[str]) -> Scene:
    edited = f"{run}/{EDITED}.zarr"
    objects = EDITED if exists(edited) and _is_finished(edited) else OF_RUN[-1]
    inside = [f"{run}/{name}.zarr" for name in (*OF_RUN[:-1], objects)]
    source = _source_of(f"{run}/prediction.zarr")
    images = [source] if source and source not in inside else []
    found = [*(_opened([*images, *inside])), *(open_volume(place).info for place in more)]
    if not found:
        raise ConfigError(
            f"{run} has no finished volume to look at yet; see `volproc status {run}`"
        )
    labels = [info for info in found if info.kind == "labels"]
    meshes = f"{run}/measure/meshes"
    names = "edited.csv", "objects.csv", "measure/objects.csv"  # the first two have what is doubted
    tables = (f"{run}/{name}" for name in names)
    table = next(filter(exists, tables), "")
    seen = [info.url for info in found if info in labels or info is found[0]]
    return Scene(
        tuple(found),
        tuple(seen),
        meshes=meshes if _are_meshes(meshes) else "",
        table=table,
        objects=_listed(table, labels[0]) if table and labels else (),
        saved_as=f"{run}/view.json",
    )


def _opened(places: Iterable[str]) -> list[VolumeInfo]:
    """Those of some volumes that are there and finished."""
    there = (place for place in places if exists(place))
    infos = (open_volume(place).info for place in there if _is_finished(place))
    return list(infos)


def _source_of(prediction: str) -> str:
    """The image that a prediction was made from, "" if it does not say."""
    record = provenance_of(prediction) if exists(prediction) else {}
    place = record.get("recipe", {}).get("places", {}).get("image", "")
    return url_from(place, prediction) if place else ""


def _is_finished(place: str) -> bool:
    record = provenance_of(place)
    return not record or bool(record.get("finished"))


def _listed(table: str, labels: VolumeInfo) -> tuple[Listed, ...]:
    """Objects of the run's table: the most doubtful first, where it says so, else the largest."""
    rows = list(csv.DictReader(read_file(table).decode().splitlines()))
    doubt = bool(rows) and "probability_right" in rows[0]
    rows.sort(
        key=lambda row: float(row["probability_right"]) if doubt else -float(row["volume_um3"])
    )
    return tuple(_object(row, labels, doubt=doubt) for row in rows[:MOST_LISTED])


def listed_after_edits(scene: Scene, labels: VolumeInfo, touched: Set[int]) -> tuple[Listed, ...]:
    """The scene's list once its labels were edited, from the table beside the edited `labels`.

    Objects that edits `touched` say so, what is gone is left out, new ones are at the end.
    """
    text = read_file(sibling(labels.url, ".csv")).decode()
    rows = (row for row in csv.DictReader(text.splitlines()) if int(row["id"]) in touched)
    now = {one.id: one for one in (_object(row, labels, doubt=False) for row in rows)}
    edited = {n: replace(one, said=f"edited · {one.said}") for n, one in now.items()}
    first = [edited.pop(one.id, None) if one.id in touched else one for one in scene.objects]
    return (*filter(None, first), *edited.values())


def object_of(scene: Scene, number: int) -> Listed:
    """An object of the scene's table, also one that the list is too short for; else ConfigError."""
    text = read_file(scene.table).decode() if scene.table else ""
    rows = csv.DictReader(text.splitlines())
    row = next((row for row in rows if row["id"] == str(number)), None)
    if row is None or scene.measured is None:
        where = scene.table or "what is looked at, which has no table of objects"
        raise ConfigError(f"--object {number}: there is no such object in {where}")
    return _object(row, scene.measured, doubt="probability_right" in row)


def _object(row: dict[str, str], labels: VolumeInfo, *, doubt: bool) -> Listed:
    z, y, x = (
        corner + float(row[f"centroid_{axis}_nm"])
        for corner, axis in zip(labels.corner_nm, "zyx", strict=True)
    )
    said = f"{float(row['volume_um3']):.3g} µm³"
    if doubt:
        said = f"{float(row['probability_right']):.2f} {row.get('reason', '')} · {said}"
    return Listed(int(row["id"]), (z, y, x), said)

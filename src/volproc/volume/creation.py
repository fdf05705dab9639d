"""The metadata and empty arrays of a volume that is about to be written, in Zarr 2 or Zarr 3."""

from __future__ import annotations

from typing import Any, Literal

import zarr
from zarr.codecs import ZstdCodec

from volproc import lease
from volproc.errors import VolumeError
from volproc.volume.access import refuse_unreachable, remove_file, writing
from volproc.volume.metadata import Level, VolumeInfo
from volproc.volume.metadata_reader import attributes_of
from volproc.volume.ome import to_ome
from volproc.volume.retrying_store import for_zarr
from volproc.volume.shard import LEVEL

ZarrFormat = Literal[2, 3]
_Shape = tuple[int, ...]

FORMATS: dict[str, ZarrFormat] = {"0.5": 3, "0.4": 2}
"""The version of Zarr that each version of OME-Zarr is made of."""

FILES: dict[ZarrFormat, tuple[str, ...]] = {
    3: ("zarr.json",),
    2: (".zattrs", ".zgroup", ".zmetadata"),
}
"""What describes a group in each version of Zarr, the newest first: it counts where both lie."""


def provenance_of(url: str) -> dict[str, Any]:
    """volproc's own record of the volume at `url`; empty where there is none."""
    found = (_group(url, zarr_format) for zarr_format in FILES)
    group = next((group for group in found if group is not None), None)
    return {} if group is None else dict(attributes_of(group).get("volproc", {}))


def write_metadata(info: VolumeInfo) -> None:
    """Write the volume's metadata from `info`."""
    lease.require()
    with writing(info.url):
        group = zarr.open_group(for_zarr(info.url), mode="r+", zarr_format=FORMATS[info.version])
        group.attrs.put(to_ome(info))


def update_provenance(url: str, **record: Any) -> None:
    """Change `record` in the provenance of the volume at `url`, and nothing else."""
    lease.require()
    found = (_group(url, zarr_format, mode="r+") for zarr_format in FILES)
    group = next((group for group in found if group is not None), None)
    if group is not None:
        with writing(url):
            before: dict[str, Any] = attributes_of(group)["volproc"]
            group.attrs.update({"volproc": {**before, **record}})


def replace_volume(info: VolumeInfo) -> None:
    """Metadata and empty arrays, in place of an earlier volume of volproc's.

    The digest is not written yet: if it is killed before `write_metadata`, the volume is remade.
    VolumeError if it would be inside a volume of another version of OME-Zarr, or labels of another
    version inside it.
    """
    begun = to_ome(info.with_provenance(digest="being created"))
    here = FORMATS[info.version]
    _refuse_two_versions(info)
    lease.require()
    with writing(info.url):
        _clear(info, begun)
        group = _group(info.url, here, mode="r+")
        if group is None:  # with provenance from the start: else it would count as foreign
            place = for_zarr(info.url)
            group = zarr.create_group(place, zarr_format=here, attributes=begun)
        _remove_description(info.url, 2 if here == 3 else 3)
        for level in info.levels:
            _create_array(group, info, level)
        _register_label(info)


def _group(url: str, zarr_format: ZarrFormat, mode: Literal["r", "r+"] = "r") -> zarr.Group | None:
    try:
        return zarr.open_group(
            for_zarr(url), mode=mode, zarr_format=zarr_format, use_consolidated=False
        )
    except Exception as error:  # not a group at all: whatever it is, volproc did not write it
        refuse_unreachable(url, error)
        return None


def _refuse_two_versions(info: VolumeInfo) -> None:
    """Viewers find labels only in groups of their image's own version."""
    outer, _, _ = info.url.rstrip("/").rpartition("/labels/")
    places = [f"{info.url}/labels"] + ([outer] if outer and info.kind == "labels" else [])
    for place in places:
        for version, zarr_format in FORMATS.items():
            if version != info.version and _group(place, zarr_format) is not None:
                raise VolumeError(
                    f"{place} is OME-Zarr {version} and {info.url} would be {info.version}: an "
                    "image and its labels need one version; remove one or choose another name"
                )


def _clear(info: VolumeInfo, begun: dict[str, Any]) -> None:
    """Remove every array of an older volume that is not one of the new.

    Its digest goes first: if killed in between, it no longer passes for the old volume.
    """
    if all(_group(info.url, zarr_format) is not None for zarr_format in FILES):
        # killed while one replaced the other
        _remove_description(info.url, 2)
    for zarr_format in FILES:
        old = _group(info.url, zarr_format, mode="r+")
        if old is not None:
            old.attrs.put(begun)
            same = zarr_format == FORMATS[info.version]
            keep = {level.path for level in info.levels} if same else set()
            for name in set(old.array_keys()) - keep:
                del old[name]


def _remove_description(url: str, zarr_format: ZarrFormat) -> None:
    for name in FILES[zarr_format]:
        remove_file(f"{url}/{name}")


def holds_arrays_of(info: VolumeInfo) -> bool:
    """Whether the stored arrays are those that `info` describes: shapes, chunks and shards."""
    group = _group(info.url, FORMATS[info.version])
    return group is not None and all(_is_planned(group, info, level) for level in info.levels)


def _is_planned(group: zarr.Group, info: VolumeInfo, level: Level) -> bool:
    array = group.get(level.path)
    if not isinstance(array, zarr.Array):
        return False
    found = (array.shape, array.chunks, array.shards, str(array.dtype))
    return found == (*_cut(info, level), info.dtype)


def _cut(info: VolumeInfo, level: Level) -> tuple[_Shape, _Shape, _Shape | None]:
    """Shape, chunks and shards of a level's array; shards are None where a chunk is a file."""
    lead: tuple[int, ...] = (len(info.channels),) if info.channels else ()
    shape, chunks = (*lead, *level.shape), (*(1 for _ in lead), *level.chunks)
    sharded = info.version != "0.4" and (lead or level.shards != level.chunks)
    return shape, chunks, (*lead, *level.shards) if sharded else None


def _create_array(group: zarr.Group, info: VolumeInfo, level: Level) -> None:
    shape, chunks, shards = _cut(info, level)
    if info.version == "0.4":
        group.create_array(
            level.path,
            shape=shape,
            dtype=info.dtype,
            chunks=chunks,
            compressors=[{"id": "zstd", "level": LEVEL}],
            fill_value=0,
            chunk_key_encoding={"name": "v2", "separator": "/"},
            overwrite=True,
        )
        return
    group.create_array(
        level.path,
        shape=shape,
        dtype=info.dtype,
        chunks=chunks,
        shards=shards,
        compressors=ZstdCodec(level=LEVEL),
        fill_value=0,
        dimension_names=[*("c" for _ in shape[:-3]), "z", "y", "x"],
        overwrite=True,
    )


def _register_label(info: VolumeInfo) -> None:
    """List a volume at IMAGE.zarr/labels/NAME in its `labels` group, where viewers look for it."""
    parent, _, name = info.url.rstrip("/").rpartition("/")
    if info.kind != "labels" or not parent.endswith("/labels"):
        return
    group = zarr.open_group(for_zarr(parent), mode="a", zarr_format=FORMATS[info.version])
    attributes = attributes_of(group)
    listed = sorted({*attributes.get("ome", attributes).get("labels", []), name})
    if info.version == "0.4":
        group.attrs["labels"] = listed
    else:
        group.attrs["ome"] = {"version": "0.5", "labels": listed}

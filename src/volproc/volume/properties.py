"""Numbers about each label in the metadata of a label volume, where viewers look for them."""

from __future__ import annotations

from typing import Any

import zarr

from volproc.volume.access import writing
from volproc.volume.creation import FORMATS
from volproc.volume.metadata import VolumeInfo
from volproc.volume.metadata_reader import attributes_of
from volproc.volume.retrying_store import for_zarr


def write_properties(info: VolumeInfo, properties: list[dict[str, Any]]) -> None:
    """Put `properties` (dicts with a label-value each) in place of those that are there."""
    with writing(info.url):
        group = zarr.open_group(for_zarr(info.url), mode="r+", zarr_format=FORMATS[info.version])
        attributes = attributes_of(group)
        ome = attributes.get("ome", attributes)
        ome["image-label"] = {**ome["image-label"], "properties": properties}
        group.attrs.put(attributes)

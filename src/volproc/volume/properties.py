"""Numbers and colours of each label in a label volume's metadata, where viewers look for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr

from volproc.volume.access import writing
from volproc.volume.creation import FORMATS
from volproc.volume.display_window import id_colours
from volproc.volume.metadata import VolumeInfo
from volproc.volume.metadata_reader import attributes_of
from volproc.volume.retrying_store import for_zarr


def write_properties(info: VolumeInfo, properties: list[dict[str, Any]]) -> None:
    """Put `properties` (dicts with a label-value each) in place of those that are there.

    Each label gets a colour as well: the one that our own pictures show it in.
    """
    ids = np.array([one["label-value"] for one in properties], dtype=np.uint64)
    colours = [
        {"label-value": one, "rgba": [*rgb, 255]}
        for one, rgb in zip(ids.tolist(), id_colours(ids).tolist(), strict=True)
    ]
    with writing(info.url):
        group = zarr.open_group(for_zarr(info.url), mode="r+", zarr_format=FORMATS[info.version])
        attributes = attributes_of(group)
        ome = attributes.get("ome", attributes)
        ome["image-label"] = {**ome["image-label"], "colors": colours}
        ome["image-label"]["properties"] = properties
        group.attrs.put(attributes)

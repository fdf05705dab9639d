"""The outlines of labels as an image that is computed chunk by chunk while it is looked at.

neuroglancer fills objects with a colour, which hides the image below. A voxel is on an outline if
a neighbour across a face holds another label. The image has the labels' levels, so what is seen
from far away is the outline of what is seen there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, each
from volproc.viewing.stores import ForbiddenError
from volproc.volume.metadata import Level
from volproc.volume.store import Volume

CHUNK = (32, 128, 128)
ON_OUTLINE = 255


@dataclass(frozen=True)
class Outlines:
    """A Zarr group of uint8 without compression, in OME-Zarr 0.5, made of a label volume."""

    labels: Volume

    def read(self, key: str) -> bytes:
        """The content of a file of the group; FileNotFoundError if it has none of that name."""
        level, _, rest = key.rpartition("zarr.json") if key.endswith("zarr.json") else ("", "", key)
        if key == "zarr.json":
            return json.dumps(self._group()).encode()
        if not rest:
            return json.dumps(_array(self._level(level.rstrip("/")))).encode()
        return self._chunk(key)

    def _level(self, path: str) -> Level:
        for level in self.labels.info.levels:
            if level.path == path:
                return level
        raise FileNotFoundError(path)

    def _chunk(self, key: str) -> bytes:
        path, _, number = key.partition("/c/")
        level, parts = self._level(path), number.split("/")
        if len(parts) != 3 or not all(part.isdecimal() for part in parts):
            raise ForbiddenError(f"{key!r} is no chunk")
        start = each(lambda n, c: int(n) * c, parts, CHUNK)
        whole = Box(start, each(int.__add__, start, CHUNK))
        box = whole.clip(level.box)
        if not box.size:
            raise FileNotFoundError(key)
        read = box.grow((1, 1, 1)).clip(level.box)
        number_of = self.labels.info.levels.index(level)
        edges = outlines(self.labels.read(read, level=number_of))
        out = np.zeros(CHUNK, np.uint8)
        out[box.within(start).slices] = edges[box.within(read.start).slices]
        return out.tobytes()

    def _group(self) -> dict[str, object]:
        datasets = [
            {
                "path": level.path,
                "coordinateTransformations": [
                    {"type": "scale", "scale": list(level.voxel_nm)},
                    {"type": "translation", "translation": list(level.translation_nm)},
                ],
            }
            for level in self.labels.info.levels
        ]
        axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
        multiscale = {"name": "outlines", "axes": axes, "datasets": datasets}
        ome = {"version": "0.5", "multiscales": [multiscale]}
        return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}


def outlines(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """255 in every object where a voxel across a face is of another object or of none, else 0.

    >>> outlines(np.array([[[0, 2, 2, 2, 3]]])).tolist()
    [[[0, 255, 0, 255, 255]]]
    """
    edge = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        moved, found = np.moveaxis(labels, axis, 0), np.moveaxis(edge, axis, 0)
        change = moved[1:] != moved[:-1]
        found[1:] |= change
        found[:-1] |= change
    return np.where(edge & (labels != 0), np.uint8(ON_OUTLINE), np.uint8(0))


def _array(level: Level) -> dict[str, object]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(level.shape),
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(CHUNK)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
        "dimension_names": ["z", "y", "x"],
        "attributes": {},
    }

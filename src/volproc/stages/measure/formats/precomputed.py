"""Meshes as neuroglancer opens them: folders of small files, after its specification
(google/neuroglancer, src/datasource/precomputed/meshes.md and segment_properties.md).

These meshes lie where the labels' metadata put the volume, unlike those of other formats, which
count from its corner: in neuroglancer they are then in their place.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from volproc.stages.measure.formats.multiresolution import QUANTIZATION_BITS
from volproc.stages.measure.mesh.triangle_mesh import Mesh
from volproc.volume.metadata import PositionNm

PROPERTIES = "segment_properties"


def legacy_files(identifier: int, mesh: Mesh, *, corner_nm: PositionNm) -> dict[str, bytes]:
    """One mesh in the single-resolution format: its manifest and its one fragment."""
    fragment = f"{identifier}.mesh"
    positions = (mesh.xyz + np.array(corner_nm)[::-1]).astype("<f4")
    return {
        f"{identifier}:0": json.dumps({"fragments": [fragment]}).encode(),
        fragment: b"".join(
            [
                len(positions).to_bytes(4, "little"),
                positions.tobytes(),
                mesh.triangles.astype("<u4").tobytes(),
            ]
        ),
    }


def legacy_index(ids: Sequence[int], numbers: dict[str, Sequence[float]]) -> dict[str, bytes]:
    """What says that a folder holds such meshes, and of which objects."""
    info = {"@type": "neuroglancer_legacy_mesh", "segment_properties": PROPERTIES}
    return {"info": json.dumps(info).encode(), **_properties(ids, numbers)}


def multiresolution_index(
    ids: Sequence[int], numbers: dict[str, Sequence[float]], *, corner_nm: PositionNm
) -> dict[str, bytes]:
    """The same for the multi-resolution format; its transform moves meshes to their place."""
    z, y, x = corner_nm
    info = {
        "@type": "neuroglancer_multilod_draco",
        "vertex_quantization_bits": QUANTIZATION_BITS,
        "transform": [1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z],
        "lod_scale_multiplier": 1,
        "segment_properties": PROPERTIES,
    }
    return {"info": json.dumps(info).encode(), **_properties(ids, numbers)}


def _properties(ids: Sequence[int], numbers: dict[str, Sequence[float]]) -> dict[str, bytes]:
    """The list of objects, by which neuroglancer finds, sorts and shows them."""
    columns: list[dict[str, Any]] = [
        {"id": name, "type": "number", "data_type": "float32", "values": list(values)}
        for name, values in numbers.items()
    ]
    inline = {"ids": [str(identifier) for identifier in ids], "properties": columns}
    listed = {"@type": "neuroglancer_segment_properties", "inline": inline}
    return {f"{PROPERTIES}/info": json.dumps(listed).encode()}

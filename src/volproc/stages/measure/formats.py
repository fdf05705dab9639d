"""The files of a mesh in each format."""

from __future__ import annotations

import re
from collections.abc import Sequence

from volproc.stages.measure.glb import to_glb
from volproc.stages.measure.mesh import Mesh
from volproc.stages.measure.multiresolution import multiresolution_files, require_draco
from volproc.stages.measure.obj import to_obj
from volproc.stages.measure.options import MeshFormat
from volproc.stages.measure.ply import to_ply
from volproc.stages.measure.precomputed import legacy_files, legacy_index, multiresolution_index
from volproc.volume.metadata import PositionNm

NAMES = re.compile(r"\d+(\.(ply|obj|glb|index|mesh)|:0)?|info|segment_properties")
"""What the files of meshes are called, in all formats."""
HALF_WRITTEN = re.compile(rf"({NAMES.pattern})\.[0-9a-f]{{32}}\.partial")
"""What a kill may leave of one."""


def require_format(kind: MeshFormat) -> None:
    """ConfigError if a package is missing that writes `kind`."""
    if kind == "precomputed":
        require_draco()


def mesh_files(
    kind: MeshFormat, identifier: int, mesh: Mesh, *, error_nm: float, corner_nm: PositionNm
) -> dict[str, bytes]:
    """Names and contents of an object's files; `corner_nm` is the labels' (`VolumeInfo`)."""
    match kind:
        case "ply":
            return {f"{identifier}.ply": to_ply(mesh)}
        case "obj":
            return {f"{identifier}.obj": to_obj(mesh, name=str(identifier))}
        case "glb":
            return {f"{identifier}.glb": to_glb(mesh, name=str(identifier))}
        case "precomputed":
            return multiresolution_files(identifier, mesh, error_nm=error_nm)
        case "precomputed-legacy":
            return legacy_files(identifier, mesh, corner_nm=corner_nm)


def index_files(
    kind: MeshFormat,
    ids: Sequence[int],
    numbers: dict[str, Sequence[float]],
    *,
    corner_nm: PositionNm,
) -> dict[str, bytes]:
    """Files about all meshes together; `numbers` are columns, a value for each of `ids`."""
    match kind:
        case "precomputed":
            return multiresolution_index(ids, numbers, corner_nm=corner_nm)
        case "precomputed-legacy":
            return legacy_index(ids, numbers)
        case _:
            return {}

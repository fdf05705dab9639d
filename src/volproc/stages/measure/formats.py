"""The files of a mesh in each format."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.config import MeshFormat
from volproc.grid.scale import VoxelNm
from volproc.stages.measure.glb import to_glb
from volproc.stages.measure.mesh import Mesh
from volproc.stages.measure.multiresolution import multiresolution_files, require_draco
from volproc.stages.measure.obj import to_obj
from volproc.stages.measure.ply import to_ply
from volproc.stages.measure.precomputed import legacy_files, legacy_index, multiresolution_index


def require_format(kind: MeshFormat) -> None:
    """ConfigError if a package is missing that writes `kind`."""
    if kind == "precomputed":
        require_draco()


def mesh_files(
    kind: MeshFormat, identifier: int, mesh: Mesh, *, error_nm: float, voxel_nm: VoxelNm
) -> dict[str, bytes]:
    """Names and contents of an object's files; `voxel_nm` is that of the finest level."""
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
            return legacy_files(identifier, mesh, voxel_nm=voxel_nm)


def index_files(
    kind: MeshFormat,
    ids: Sequence[int],
    numbers: dict[str, Sequence[float]],
    *,
    voxel_nm: VoxelNm,
) -> dict[str, bytes]:
    """Files about all meshes together; `numbers` are columns, a value for each of `ids`."""
    match kind:
        case "precomputed":
            return multiresolution_index(ids, numbers, voxel_nm=voxel_nm)
        case "precomputed-legacy":
            return legacy_index(ids, numbers)
        case _:
            return {}

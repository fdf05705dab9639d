"""The second pass: the surfaces of each object's blocks joined to one mesh, simplified, written.

An object is assembled by the task of the first block that has a part of it, so the work is spread
over the volume as the objects are. Only one object at a time is in memory.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from volproc.engine.memory import RESERVED_BYTES, human
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import MemoryLimitError, VolumeError
from volproc.grid.blocks import Block
from volproc.stages.measure.formats.mesh_formats import HALF_WRITTEN, NAMES, index_files, mesh_files
from volproc.stages.measure.mesh.simplification import simplify
from volproc.stages.measure.mesh.surface_files import Blocks, SurfaceFiles, surface_in
from volproc.stages.measure.mesh.surface_sums import COLUMNS, TRIANGLES, Sums, areas_um2
from volproc.stages.measure.mesh.triangle_mesh import joined, mesh_of
from volproc.stages.measure.options import MeshFormat
from volproc.stages.objects.components import Ids
from volproc.volume.access import exists
from volproc.volume.file_io import remove_files, write_file
from volproc.volume.metadata import Level, VolumeInfo

MESHES = "meshes"
"""The name of the step."""
BYTES_PER_TRIANGLE = 300
"""While an object is joined and written: 143 and, as OBJ, 191 measured
(benchmarks/measure_cost.py)."""
SIMPLIFYING_BYTES = 700
"""Per triangle while it is also simplified: 670 measured, most of it libigl's queue of edges."""
FILE_BYTES_PER_TRIANGLE = 40
"""Of files that wait for the other objects of their block: at most, OBJ that is not simplified."""


@dataclass(frozen=True)
class ObjectSurfaces:
    """All objects with a surface: ids in ascending order, their sums, and where their parts are.

    `part_ids` ascend, and `part_blocks` do for each of them.
    """

    ids: Ids
    sums: Sums
    part_ids: Ids
    part_blocks: Blocks

    @property
    def homes(self) -> Blocks:
        """The block at which each object is assembled: the first with a part of it."""
        return self.part_blocks[np.searchsorted(self.part_ids, self.ids)]

    def only(self, ids: Sequence[int], *, what: str) -> ObjectSurfaces:
        """Those of `ids`; all if it is empty. VolumeError if one is not there."""
        if missing := sorted(set(ids) - set(self.ids.tolist())):
            known = f"{self.ids[0]} to {self.ids[-1]}" if len(self.ids) else "none"
            raise VolumeError(
                f"{what} has no object {', '.join(map(str, missing))}; its {len(self.ids)} "
                f"objects have the ids {known}"
            )
        return self.among(ids) if ids else self

    def among(self, ids: Collection[int]) -> ObjectSurfaces:
        """Those of `ids` that are there."""
        requested = np.array([*ids], dtype=np.uint64)
        chosen, parts = np.isin(self.ids, requested), np.isin(self.part_ids, requested)
        return ObjectSurfaces(
            self.ids[chosen], self.sums[chosen], self.part_ids[parts], self.part_blocks[parts]
        )


def gathered(files: SurfaceFiles, blocks: Sequence[Block]) -> ObjectSurfaces:
    """What the first pass found in all blocks, added up."""
    found = [files.sums(block.index) for block in blocks]
    ids = np.concatenate([np.empty(0, dtype=np.uint64), *(one for one, _ in found)])
    sums = np.concatenate([np.empty((0, COLUMNS), dtype=np.int64), *(one for _, one in found)])
    where = np.repeat([block.index for block in blocks], [len(one) for one, _ in found])
    order = np.lexsort((where, ids))
    ids, sums, where = ids[order], sums[order], where[order].astype(np.int64)
    known, first = np.unique(ids, return_index=True)
    return ObjectSurfaces(known, np.add.reduceat(sums, first) if len(first) else sums, ids, where)


@dataclass(frozen=True)
class WriteMeshes:
    """Task: the meshes of the objects that begin in one block, from surfaces at `level`."""

    labels: VolumeInfo
    files: SurfaceFiles
    level: int
    folder: str
    kind: MeshFormat
    error_nm: float

    def load(self, block: Block) -> dict[int, list[int]]:
        """The objects, and the blocks with parts of them."""
        return self.files.parts(block.index)

    def compute(self, block: Block, loaded: dict[int, list[int]]) -> list[dict[str, bytes]]:
        """The files of each object. Surfaces are read here: all at once may not fit in memory."""
        return [self._files(identifier, blocks) for identifier, blocks in loaded.items()]

    def store(self, block: Block, result: list[dict[str, bytes]]) -> dict[str, int]:
        """Write them."""
        for one in result:
            for name, content in one.items():
                write_file(f"{self.folder}/{name}", content)
        return {"meshes": len(result)}

    @property
    def surface_level(self) -> Level:
        """The level of the labels that the surfaces were made of."""
        return self.labels.levels[self.level]

    @property
    def bytes_per_triangle(self) -> int:
        """Memory that assembling an object takes."""
        simplified = self.error_nm or self.kind == "precomputed"
        return SIMPLIFYING_BYTES if simplified else BYTES_PER_TRIANGLE

    def _files(self, identifier: int, blocks: list[int]) -> dict[str, bytes]:
        here = self.surface_level
        parts = [surface_in(self.files.surfaces(block), identifier) for block in blocks]
        mesh = mesh_of(joined(parts), shape=here.shape, voxel_nm=here.voxel_nm)
        mesh = simplify(mesh, error_nm=self.error_nm)
        # the vertices of a mesh that is not simplified are off by half a voxel at most
        error_nm = self.error_nm or max(here.voxel_nm) / 2
        corner_nm = self.labels.corner_nm
        return mesh_files(self.kind, identifier, mesh, error_nm=error_nm, corner_nm=corner_nm)


def mesh_step(
    task: WriteMeshes, surfaces: ObjectSurfaces, blocks: Sequence[Block], *, worker_bytes: int
) -> Step:
    """Assemble and write the meshes of `surfaces`; records on disk which block has which objects.

    MemoryLimitError if an object is too large for a worker.
    """
    triangles, homes = surfaces.sums[:, TRIANGLES], surfaces.homes
    _refuse_too_large(task, surfaces, worker_bytes=worker_bytes)
    home_of_part = homes[np.searchsorted(surfaces.ids, surfaces.part_ids)]
    chosen = np.unique(homes).tolist()
    for block in chosen:
        here = home_of_part == block
        task.files.save_parts(block, surfaces.part_ids[here], surfaces.part_blocks[here])
    in_block = np.bincount(homes, weights=triangles).max(initial=0)
    return Step(
        name=MESHES,
        task=task,
        blocks=[blocks[block] for block in chosen],
        digest=task.files.digest,
        peak_bytes=int(triangles.max(initial=0)) * task.bytes_per_triangle
        + int(in_block) * FILE_BYTES_PER_TRIANGLE,
    )


def begin_meshes(runner: Runner, step: Step, files: SurfaceFiles, *, folder: str) -> None:
    """Leave in `folder` no mesh that another `step` wrote, nor half of one.

    The records of the step go first, then the meshes, and last it is noted whose meshes come now:
    killed in between, meshes are removed or made again rather than taken for those of this step.
    """
    if files.mesh_digest() != step.digest or not exists(folder):
        runner.forget(step.name)
        remove_files(folder, NAMES)
        files.save_mesh_digest(step.digest)
    remove_files(folder, HALF_WRITTEN)


def touched_meshes(
    task: WriteMeshes,
    surfaces: ObjectSurfaces,
    touched: Collection[int],
    blocks: Sequence[Block],
    runner: Runner,
) -> Step:
    """The step that makes the meshes of `touched` objects again; those they had are removed.

    First it is noted that the meshes are no step's: killed in between, all are made again.
    """
    runner.forget(MESHES)
    task.files.save_mesh_digest("")
    if touched:
        names = "|".join(map(str, sorted(touched)))
        remove_files(task.folder, re.compile(rf"({names})(\.(ply|obj|glb|index|mesh)|:0)?"))
    some = surfaces.among(touched)
    return mesh_step(task, some, blocks, worker_bytes=runner.engine.worker_bytes)


def write_index(
    surfaces: ObjectSurfaces, labels: VolumeInfo, *, folder: str, kind: MeshFormat
) -> None:
    """Write the files that say which meshes there are, for the formats that have such."""
    numbers = {"surface_um2": areas_um2(surfaces.sums).tolist()}
    ids: list[int] = surfaces.ids.tolist()
    for name, content in index_files(kind, ids, numbers, corner_nm=labels.corner_nm).items():
        write_file(f"{folder}/{name}", content)


def _refuse_too_large(task: WriteMeshes, surfaces: ObjectSurfaces, *, worker_bytes: int) -> None:
    triangles = surfaces.sums[:, TRIANGLES]
    needed = int(triangles.max(initial=0)) * task.bytes_per_triangle + RESERVED_BYTES
    if needed > worker_bytes:
        raise MemoryLimitError(
            f"object {surfaces.ids[triangles.argmax()]} of {task.labels.url} has "
            f"{triangles.max():,} triangles with voxels of {min(task.surface_level.voxel_nm):g} "
            f"nm; its mesh needs {human(needed)}, a worker has {human(worker_bytes)}: take coarser "
            "voxels with mesh_voxel_nm, or workers with more memory; areas and tables need no mesh"
        )

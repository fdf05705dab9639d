"""What blocks leave on disk about surfaces: small files in one folder.

FOLDER/12.sums       of block 12: ids of the objects with surface in it, and sums over the surface
FOLDER/12.surfaces   the surfaces themselves, object by object
FOLDER/12.parts      for block 12: objects that are assembled there, and the blocks of their parts
FOLDER/meshes        the digest of the meshes that are, or will be, in the folder of meshes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.stages.measure.mesh.isosurface import Surface
from volproc.stages.measure.mesh.surface_sums import Sums
from volproc.stages.objects.array_files import Packed, packed, read_packed
from volproc.stages.objects.components import Ids
from volproc.volume.access import exists
from volproc.volume.file_io import read_file, write_file

Blocks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SurfaceFiles:
    """The folder of one run. Each file names the run's digest: none of another is trusted."""

    folder: str
    digest: str

    def save_sums(self, block: int, ids: Ids, sums: Sums) -> None:
        """Store a row of `sums` for each of the ids with surface in a block."""
        self._save(f"{block}.sums", {"ids": ids, "sums": sums})

    def sums(self, block: int) -> tuple[Ids, Sums]:
        """Ids and sums of a block."""
        found = self._load(f"{block}.sums")
        return found["ids"], found["sums"]

    def save_surfaces(self, block: int, surfaces: Mapping[int, Surface]) -> None:
        """Store a block's surfaces, by id."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for identifier, surface in surfaces.items():
            # codes ascend by little: their differences compress to half the size
            arrays[f"{identifier} codes"] = np.diff(surface.codes, prepend=0)
            arrays[f"{identifier} shares"] = surface.shares
            arrays[f"{identifier} triangles"] = surface.triangles
        self._save(f"{block}.surfaces", arrays)

    def surfaces(self, block: int) -> Packed:
        """A block's surfaces, for `surface_in`."""
        return self._load(f"{block}.surfaces")

    def save_parts(self, block: int, ids: Ids, blocks: Blocks) -> None:
        """Store which objects a block assembles: row by row an id and a block with a part."""
        self._save(f"{block}.parts", {"ids": ids, "blocks": blocks})

    def parts(self, block: int) -> dict[int, list[int]]:
        """The objects that a block assembles, each with the blocks that have parts of it."""
        found = self._load(f"{block}.parts")
        listed: dict[int, list[int]] = {}
        for identifier, where in zip(found["ids"].tolist(), found["blocks"].tolist(), strict=True):
            listed.setdefault(identifier, []).append(where)
        return listed

    def save_mesh_digest(self, digest: str) -> None:
        """Note that the folder of meshes holds none but those of `digest`."""
        write_file(f"{self.folder}/meshes", digest.encode())

    def mesh_digest(self) -> str:
        """The digest that was noted; "" if none was."""
        url = f"{self.folder}/meshes"
        return read_file(url).decode() if exists(url) else ""

    def _save(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        write_file(f"{self.folder}/{name}", packed(arrays, digest=self.digest))

    def _load(self, name: str) -> Packed:
        return read_packed(f"{self.folder}/{name}", digest=self.digest)


def surface_in(found: Packed, identifier: int) -> Surface:
    """One object's surface in a block."""
    codes = np.cumsum(found[f"{identifier} codes"])
    return Surface(codes, found[f"{identifier} shares"], found[f"{identifier} triangles"])

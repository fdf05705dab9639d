"""A mesh, and how the surfaces of an object's blocks become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.measure.mesh.isosurface import PARTS, Indices, Surface, points

Positions = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """Triangles of one object.

    `vertices` are (z, y, x) in nm from the volume's corner, shape (n, 3). Seen from outside, the
    corners of a triangle go counterclockwise in a right-handed (x, y, z).
    """

    vertices: Positions
    triangles: Indices

    @property
    def xyz(self) -> Positions:
        """The vertices as (x, y, z), as files hold them."""
        return self.vertices[:, ::-1]


def used_vertices(vertices: Positions, triangles: npt.NDArray[Any]) -> Mesh:
    """The mesh of `triangles`, without the vertices that none of them has."""
    used, which = np.unique(triangles, return_inverse=True)
    return Mesh(vertices[used], which.reshape(-1, 3).astype(np.int32))


def joined(parts: Sequence[Surface]) -> Surface:
    """One surface of the surfaces of an object's blocks: the same, however it was cut.

    Vertices of several blocks become one; triangles are put in an order of their own.
    """
    codes, first, which = np.unique(
        np.concatenate([part.codes for part in parts]), return_index=True, return_inverse=True
    )
    before = np.cumsum([0, *(len(part.codes) for part in parts)])
    triangles = np.concatenate([part.triangles + n for part, n in zip(parts, before, strict=False)])
    triangles = which[triangles].astype(np.int32)
    shares = np.concatenate([part.shares for part in parts])[first]
    return Surface(codes, shares, _in_order(triangles))


def mesh_of(surface: Surface, *, shape: Shape, voxel_nm: VoxelNm) -> Mesh:
    """A surface in nm; voxel i of the volume covers i to i + 1 voxel sizes."""
    places = points(surface, shape=shape) + PARTS // 2
    return Mesh(places * (np.array(voxel_nm) / PARTS), surface.triangles)


def _in_order(triangles: Indices) -> Indices:
    """Each from its lowest vertex on, and all sorted by their first side: no side comes twice."""
    turns = (triangles.argmin(axis=1)[:, None] + np.arange(3)) % 3
    turned = np.take_along_axis(triangles, turns, axis=1)
    ordered: Indices = turned[np.lexsort((turned[:, 1], turned[:, 0]))]
    return ordered

"""A mesh, and how the surfaces of an object's blocks become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.measure.mesh.isosurface import PARTS, Codes, Indices, Surface, points

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

    @property
    def area_nm2(self) -> float:
        """Sum of the triangles' areas."""
        return float(np.linalg.norm(self._normals, axis=1).sum() / 2)

    @property
    def volume_nm3(self) -> float:
        """What a closed mesh encloses."""
        return float((self._corners[:, 0] * self._normals).sum() / 6)

    @property
    def is_closed(self) -> bool:
        """Whether every edge belongs to exactly two triangles, which run along it in turn."""
        ahead, back = directed_edges(self.triangles), directed_edges(self.triangles[:, ::-1])
        ahead, back = np.sort(ahead), np.sort(back)
        return bool((ahead[1:] != ahead[:-1]).all() and (ahead == back).all())

    @property
    def _corners(self) -> Positions:
        """Corners of each triangle as (x, y, z), shape (m, 3, 3)."""
        centred = (
            self.vertices - self.vertices.mean(axis=0) if len(self.vertices) else self.vertices
        )
        corners: Positions = centred[self.triangles][:, :, ::-1]
        return corners

    @property
    def _normals(self) -> Positions:
        a, b, c = self._corners.transpose(1, 0, 2)
        return np.cross(b - a, c - a)


def used_vertices(vertices: Positions, triangles: npt.NDArray[Any]) -> Mesh:
    """The mesh of `triangles`, without the vertices that none of them has."""
    used, which = np.unique(triangles, return_inverse=True)
    return Mesh(vertices[used], which.reshape(-1, 3).astype(np.int32))


def directed_edges(triangles: Indices) -> Codes:
    """Each side of each triangle as one number, first vertex x 2^32 + second; shape (3 m,)."""
    first = triangles.astype(np.int64)
    return ((first << 32) | np.roll(first, -1, axis=1)).reshape(-1)


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
    """Each from its lowest vertex on, sorted."""
    turned = np.stack([np.roll(triangles, -turn, axis=1) for turn in range(3)])
    lowest = triangles.argmin(axis=1)
    turned = turned[lowest, np.arange(len(triangles))]
    ordered: Indices = turned[np.argsort(directed_edges(turned)[::3])]  # no side comes twice
    return ordered

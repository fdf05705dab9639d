"""A mesh cut along the planes of a grid, so that each triangle lies in one cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from volproc.stages.measure.mesh.isosurface import Indices
from volproc.stages.measure.mesh.triangle_mesh import Mesh, Positions, used_vertices


def cut_at_grid(mesh: Mesh, *, origin: Positions, cell: Positions, counts: tuple[int, ...]) -> Mesh:
    """The mesh with triangles that cross a plane between two of `counts` cells cut there.

    Neighbours are cut at the same place: what was closed stays closed.
    """
    for axis, count in enumerate(counts):
        for plane in range(1, count):
            mesh = cut_at_plane(mesh, axis, float(origin[axis] + plane * cell[axis]))
    return mesh


def cut_at_plane(mesh: Mesh, axis: int, place: float) -> Mesh:
    """The mesh with every triangle on one side of the plane, or touching it."""
    beyond = np.sign(mesh.vertices[:, axis] - place)
    sides = beyond[mesh.triangles]
    crossing = (sides.min(axis=1) < 0) & (sides.max(axis=1) > 0)
    if not crossing.any():
        return mesh
    triangles, on_plane = _lone_corner_first(mesh.triangles[crossing], sides[crossing])
    pairs = np.stack([triangles[:, [0, 1]], triangles[:, [0, 2]]], axis=1)
    ends, which = np.unique(np.sort(pairs.reshape(-1, 2), axis=1), axis=0, return_inverse=True)
    a, b = mesh.vertices[ends[:, 0]], mesh.vertices[ends[:, 1]]
    share = (place - a[:, axis]) / np.where(a[:, axis] == b[:, axis], 1.0, b[:, axis] - a[:, axis])
    added = a + share[:, None] * (b - a)
    added[:, axis] = place
    cut = (which.reshape(-1, 2) + len(mesh.vertices)).astype(np.int32)
    pieces = _pieces(triangles, cut, two=on_plane)
    vertices = np.concatenate([mesh.vertices, added])
    return used_vertices(vertices, np.concatenate([mesh.triangles[~crossing], *pieces]))


def _lone_corner_first(
    triangles: Indices, sides: npt.NDArray[np.float64]
) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Each triangle turned so that its first corner is alone on its side of the plane.

    Where a corner lies on the plane it becomes the second: the side from the first to the third is
    cut. Says which these are.
    """
    total = sides.sum(axis=1)
    on_plane = (sides == 0).any(axis=1)
    alone = np.where(total[:, None] > 0, sides < 0, sides > 0).argmax(axis=1)
    alone = np.where(on_plane, ((sides == 0).argmax(axis=1) + 2) % 3, alone)
    turns = (alone[:, None] + np.arange(3)) % 3
    turned: Indices = np.take_along_axis(triangles, turns, axis=1)
    return turned, on_plane


def _pieces(triangles: Indices, cut: Indices, *, two: npt.NDArray[np.bool_]) -> list[Indices]:
    r"""Two triangles where a corner is on the plane, else three; a is alone on its side.

            a                    a
           / \                  / \
     ----ab---ac----      -----b---ac----    the plane
         /     \                \   \
        b-------c                `---c
    """
    a, b, c = triangles.T
    ab, ac = cut.T
    split = [(a, b, ac), (b, c, ac)]
    corner = [(a, ab, ac), (ab, b, c), (ab, c, ac)]
    return [
        np.stack(piece, axis=1)[chosen].astype(np.int32)
        for pieces, chosen in ((split, two), (corner, ~two))
        for piece in pieces
    ]

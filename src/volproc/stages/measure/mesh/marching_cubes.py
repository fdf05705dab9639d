"""The triangles of a cube of eight voxels, for each of the 256 ways to be partly inside.

Marching cubes (Lorensen and Cline 1987), with its table made rather than copied. On each face of
the cube, the borders between inside and outside are joined to segments; segments of the six faces
make closed loops, and loops make triangles. What happens on a face depends on its own four voxels
only, so two cubes that share a face agree on it, and the surface has no cracks.

Where two inside voxels meet along an edge only (a face with inside and outside crosswise), they
are joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

BITS = (4, 2, 1)
"""Corner number = 4 z + 2 y + x."""

Edge = int
"""Edge number = 3 x its lower corner + its axis."""


def triangle_table() -> npt.NDArray[np.int8]:
    """Edges of each triangle for each of 256 cubes, shape (256, most, 3); -1 where there is none.

    Corner c is inside where bit c of the cube's number is set. Seen from outside the object the
    corners of a triangle go counterclockwise, in (x, y, z).
    """
    found = [[t for loop in loops(cube) for t in fan(loop)] for cube in range(256)]
    table = np.full((256, max(map(len, found)), 3), -1, dtype=np.int8)
    for cube, triangles in enumerate(found):
        table[cube, : len(triangles)] = np.array(triangles).reshape(-1, 3)
    return table


def loops(cube: int) -> list[list[Edge]]:
    """The closed loops in which the surface meets the faces of a cube."""
    following: dict[Edge, Edge] = {}
    for face in _faces():
        crossed = [
            (_edge(a, b), cube >> a & 1)
            for a, b in zip(face, (*face[1:], face[0]), strict=True)
            if (cube >> a ^ cube >> b) & 1
        ]
        for (edge, leaving), (entered, _) in zip(crossed, crossed[1:] + crossed[:1], strict=True):
            if leaving:  # from where the walk around the face leaves the object to where it enters
                following[edge] = entered
    found = []
    while following:
        loop = [min(following)]
        while (edge := following.pop(loop[-1])) != loop[0]:
            loop.append(edge)
        found.append(loop)
    return found


def fan(loop: list[Edge]) -> list[tuple[Edge, Edge, Edge]]:
    """A loop as triangles around one of its corners, without a diagonal on a face of the cube.

    The cube beyond that face might draw the same diagonal: four triangles would share it.
    """
    for turn in range(len(loop)):
        first, *others = loop[turn:] + loop[:turn]
        if not any(_on_one_face(first, far) for far in others[1:-1]):
            return [(first, a, b) for a, b in pairwise(others)]
    raise AssertionError(f"no triangles for {loop}")


def _faces() -> Iterator[tuple[int, ...]]:
    """The corners of each face, all in the same sense when seen from outside."""
    for axis in range(3):
        one, other = BITS[(axis + 1) % 3], BITS[(axis + 2) % 3]
        around = (0, one, one + other, other)
        yield tuple(corner + BITS[axis] for corner in around)
        yield around[::-1]


def _edge(a: int, b: int) -> Edge:
    return 3 * min(a, b) + BITS.index(abs(a - b))


def _on_one_face(a: Edge, b: Edge) -> bool:
    return any(
        axis not in (a % 3, b % 3) and not (a // 3 ^ b // 3) & bit for axis, bit in enumerate(BITS)
    )

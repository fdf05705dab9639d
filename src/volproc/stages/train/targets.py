"""What the network is to answer for a class, from labels: 0 to 255 a voxel.

Distances are in nm, of any voxels, from a voxel's centre to the nearest face between two voxels
of different bodies:

    | 4 | 4 | 4 | 7 | 7 |       the face lies half a voxel from the centres on either side
                ^

They are found within a stated reach only, so a box that is grown by this reach gives every voxel
the value that it has in the whole volume.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape, each
from volproc.grid.scale import VoxelNm
from volproc.stages.train.data_options import TargetOptions
from volproc.volume.kinds import labelled, refuse_negative

Ids = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


def bodies_of(labels: npt.NDArray[np.generic], target: TargetOptions, *, what: str) -> Ids | Mask:
    """Labels as bodies: with chosen values all of them are one, else every label is one.

    VolumeError naming `what` for labels below 0 of which nobody says what they are.
    """
    if target.values:
        return labelled(labels, target.values, what=what)
    refuse_negative(labels, what=what)
    # foreground is one body, wherever two labels touch
    return labels != 0 if target.made_from == "foreground" else np.asarray(labels)


def target_of(
    bodies: Ids | Mask, target: TargetOptions, voxel_nm: VoxelNm, seen: Mask | None = None
) -> Bytes:
    """The probability of the class times 255, from bodies (z, y, x) where they were `seen`."""
    made, depth = target.made_from, reach_nm(target)
    inside: Mask = np.asarray(bodies != 0)
    if made in ("foreground", "values"):
        return _all_or_none(inside)
    background = target.background or made != "borders"
    distance = face_distance_nm(
        faces_of(bodies, seen, background=background), voxel_nm, within=depth
    )
    if made in ("borders", "outline"):
        return _all_or_none(distance <= depth)
    if made == "interior":
        return _all_or_none(inside & (distance > depth))
    share = np.minimum(distance / np.float32(depth), 1) * inside
    return np.asarray(np.rint(share * 255), np.uint8)


def _all_or_none(mask: Mask) -> Bytes:
    return np.multiply(mask, 255, dtype=np.uint8)


def reach_nm(target: TargetOptions) -> float:
    """How far away a body can be that makes a voxel's target another."""
    return target.depth_nm or (target.width_nm or 0) / 2


def reach_voxels(target: TargetOptions, voxel_nm: VoxelNm) -> Shape:
    """The same in voxels, and one for the faces: a box has to be grown by as many."""
    nm = reach_nm(target)
    return each(lambda v: ceil(nm / v) + 1, voxel_nm)


def faces_of(bodies: Ids | Mask, seen: Mask | None, *, background: bool) -> tuple[Mask, ...]:
    """Per axis, True where a voxel and the next one are of different bodies, and both were `seen`.

    Of n voxels along an axis there are n - 1. A face against the background (0) counts if so asked.
    """
    found = []
    for axis in range(3):
        here, there = _from(axis, None, -1), _from(axis, 1, None)
        differ = bodies[here] != bodies[there]
        for needed in (() if background else (bodies != 0,)) + (() if seen is None else (seen,)):
            differ &= needed[here] & needed[there]
        found.append(differ)
    return tuple(found)


def beside_faces(faces: tuple[Mask, ...], shape: Shape) -> Mask:
    """The voxels in front of a face."""
    edge = np.zeros(shape, np.bool_)
    for axis, differ in enumerate(faces):
        edge[_from(axis, None, -1)] |= differ
    return edge


def face_distance_nm(
    faces: tuple[Mask, ...], voxel_nm: VoxelNm, *, within: float
) -> npt.NDArray[np.float32]:
    """Distance in nm from each voxel's centre to the nearest face; inf beyond `within`.

    Exact: the squared distance is a sum over axes, so its minimum is found one axis at a time
    (Saito and Toriwaki 1994), for the faces across each axis on their own. A distance transform
    of voxels cannot do so, because a face lies between two.
    """
    shape = each(max, *(differ.shape for differ in faces))
    nearest = np.full(shape, np.inf, np.float32)
    for axis, differ in enumerate(faces):
        if differ.any() and voxel_nm[axis] / 2 <= within:
            along = _along_lines(differ, axis, shape, voxel_nm[axis], within)
            for other in {0, 1, 2} - {axis}:
                along = _least_sum(along, other, voxel_nm[other], within)
            np.minimum(nearest, along, out=nearest)
    nearest[nearest > np.float32(within * within * (1 + 1e-6))] = np.inf
    return np.sqrt(nearest, out=nearest)


def _along_lines(
    differ: Mask, axis: int, shape: Shape, nm: float, within: float
) -> npt.NDArray[np.float32]:
    """Squared distance along `axis` to the nearest face across it."""
    found = np.full(shape, np.inf, np.float32)
    length = shape[axis]
    for step in reversed(range(min(ceil(within / nm - 0.5 + 1e-6), length - 1))):
        square = np.float32(((step + 0.5) * nm) ** 2)
        for here, there in (
            (_from(axis, None, length - 1 - step), _from(axis, step, None)),
            (_from(axis, step + 1, None), _from(axis, None, length - 1 - step)),
        ):
            found[here][differ[there]] = square
    return found


def _least_sum(
    squares: npt.NDArray[np.float32], axis: int, nm: float, within: float
) -> npt.NDArray[np.float32]:
    """The least of a square and the distance along `axis` to it, squared."""
    least = squares.copy()
    length = squares.shape[axis]
    for step in range(1, min(int(within / nm + 1e-6), length - 1) + 1):
        further = squares + np.float32((step * nm) ** 2)
        for here, there in (
            (_from(axis, None, length - step), _from(axis, step, None)),
            (_from(axis, step, None), _from(axis, None, length - step)),
        ):
            np.minimum(least[here], further[there], out=least[here])
    return least


def _from(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    return tuple(slice(start, stop) if a == axis else slice(None) for a in range(3))

"""Any box of a synthetic volume, image and ground truth: pure functions of place and seed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import GridError
from volproc.grid.box import Box, Shape, each, whole_box
from volproc.stages.phantom.fields import LATTICE_NM, Fields, make_fields
from volproc.stages.phantom.organelles import REACH_NM, capsules_near, draw_capsules
from volproc.stages.phantom.scene import Scene, Tables, tables_near
from volproc.stages.phantom.sensor import add_noise, noise_of, row_offsets
from volproc.stages.phantom.voxels import Steps, draw_ground, membrane_lines

SLAB_LATTICE_POINTS = 1_500_000  # a box is made in slabs with fields of at most about 60 MB


def render(scene: Scene, box: Box) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    """Image and ground truth of `box` (global voxels): grey levels, and ids of filled nuclei.

    A nucleus is everything inside the outer surface of its envelope. The dividing cell has none.
    """
    image = np.empty(box.shape, np.uint8)
    truth = np.empty(box.shape, np.uint32)
    render_into(scene, box, image, truth)
    return image, truth


def render_into(
    scene: Scene, box: Box, image: npt.NDArray[np.uint8] | None, truth: npt.NDArray[Any]
) -> None:
    """`render` into arrays of the box's shape; `truth` of any type that holds the ids.

    Without an image, what only it shows is left out. GridError unless `box` is inside the volume.
    """
    whole = whole_box(scene.shape)
    if not (box.size and whole.contains(box)):
        raise GridError(f"cannot render {box}: it must be a part of the volume, {whole}")
    for slab in _slabs(box, scene):
        part = slab.within(box.start).slices
        _render_slab(scene, slab, None if image is None else image[part], truth[part])
    lost = scene.lost_slice
    if image is not None and lost is not None and box.start[0] <= lost < box.stop[0]:
        # the slice before it stands in, which may be in no slab of this box
        before = Box((lost - 1, *box.start[1:]), (lost, *box.stop[1:]))
        image[lost - box.start[0]] = render(scene, before)[0][0]


def truth_at(scene: Scene, voxel: Shape) -> int:
    """The id of the nucleus that holds one voxel, 0 for none."""
    truth = np.empty((1, 1, 1), np.uint32)
    render_into(scene, Box(voxel, each(lambda v: v + 1, voxel)), None, truth)
    return int(truth[0, 0, 0])


def _slabs(box: Box, scene: Scene) -> list[Box]:
    """`box` cut along z so that a part's lattice stays small."""
    per_slice = 1.0
    for n, v in zip(box.shape[1:], scene.voxel_nm[1:], strict=True):
        per_slice *= n * v / LATTICE_NM + 4
    depth = max(1.0, SLAB_LATTICE_POINTS / per_slice - 4) * LATTICE_NM / scene.voxel_nm[0]
    count = -(-box.shape[0] // max(1, int(depth)))
    cuts = [box.start[0] + box.shape[0] * i // count for i in range(count + 1)]
    return [Box((a, *box.start[1:]), (b, *box.stop[1:])) for a, b in pairwise(cuts)]


def _prepared(scene: Scene, box: Box) -> tuple[Fields, Steps, Tables]:
    centres = each(lambda a, b, v: (np.arange(a, b) + 0.5) * v, box.start, box.stop, scene.voxel_nm)
    lattice = each(lambda c: np.floor(c / LATTICE_NM).astype(np.int64), centres)
    fraction = each(lambda c, i: (c / LATTICE_NM - i).astype(np.float32), centres, lattice)
    first: Shape = each(lambda i: int(i[0]), lattice)
    count: Shape = each(lambda i, f: int(i[-1]) + 2 - f, lattice, first)
    # cells count as far as the organelles reach that they may keep out, there and back
    margin = 2 * REACH_NM
    region_start = each(lambda a, v: a * v - margin, box.start, scene.voxel_nm)
    region_stop = each(lambda b, v: b * v + margin, box.stop, scene.voxel_nm)
    tables = tables_near(scene, region_start, region_stop)
    steps = Steps(each(lambda i, f: i - f, lattice, first), fraction, centres)
    return make_fields(first, count, tables, seed=scene.seed), steps, tables


def _render_slab(
    scene: Scene, box: Box, image: npt.NDArray[np.uint8] | None, truth: npt.NDArray[Any]
) -> None:
    fields, steps, tables = _prepared(scene, box)
    width_nm = float(np.sqrt(scene.voxel_nm[1] * scene.voxel_nm[2]))
    look, (gain, shift) = scene.look, scene.look.transfer()
    lines, (side, spread) = membrane_lines(width_nm, look), noise_of(width_nm, look.noise)
    seed = np.uint32(scene.seed & 0xFFFFFFFF)
    voxel_nm, start = np.array(scene.voxel_nm, np.float64), np.array(box.start)
    grey, ground = np.empty(box.shape[1:], np.float32), np.empty(box.shape[1:], np.uint8)
    if image is not None:
        capsules = capsules_near(start * voxel_nm, np.array(box.stop) * voxel_nm, tables, seed)
    for k in range(box.shape[0]):
        draw_ground(grey, ground, truth[k], fields, tables, lines, k, steps)
        if image is not None:
            z = box.start[0] + k
            draw_capsules(grey, ground, capsules, steps.nm[0][k], start, voxel_nm, look)
            offsets = row_offsets(scene, z, steps.nm[1]) + shift
            add_noise(image[k], grey, gain, offsets, z, start, side, spread, seed)

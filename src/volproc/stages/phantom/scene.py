"""From a shape, a voxel size and a seed to a scene whose nuclei are numbered without gaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product

from volproc.grid.box import Shape, each
from volproc.grid.scale import VoxelNm
from volproc.stages.phantom.cell_layout import cells_in, lost_slice_in, stripe_in
from volproc.stages.phantom.render import truth_at
from volproc.stages.phantom.scene_objects import Cell, Nm3, Scene


def make_scene(shape: Shape, voxel_nm: VoxelNm, *, seed: int, cell_density: float = 1.0) -> Scene:
    """A HeLa-like scene for a volume; `cell_density` is the share of places that hold a cell."""
    extent: Nm3 = each(lambda n, v: n * v, shape, voxel_nm)
    scene = Scene(
        shape,
        voxel_nm,
        seed,
        cells_in(extent, seed=seed, density=cell_density),
        stripe_in(shape, extent, seed=seed),
        lost_slice_in(shape, seed=seed),
    )
    return _numbered(scene)


def _numbered(scene: Scene) -> Scene:
    """Ids for the nuclei that show themselves; cells whose nucleus is out of view lose it.

    Decided at a few voxels about the nucleus's middle: cheap, and it makes ids dense.
    """
    trial = _with_ids(scene, range(1, 1 + sum(c.nucleus is not None for c in scene.cells)))
    shown, ids = 0, []
    for nucleus, cell in zip(trial.nuclei, trial.cells_with_nucleus, strict=True):
        seen = any(truth_at(trial, v) == nucleus.id for v in _voxels_about(cell, trial))
        shown += seen
        ids.append(shown if seen else None)
    return _with_ids(scene, ids)


def _with_ids(scene: Scene, ids: Iterable[int | None]) -> Scene:
    """The nuclei of a scene renumbered, in order; those with no id are taken away."""
    left = iter(ids)
    cells = []
    for cell in scene.cells:
        nucleus = cell.nucleus
        if nucleus is not None:
            given = next(left)
            nucleus = None if given is None else replace(nucleus, id=given)
        cells.append(replace(cell, nucleus=nucleus))
    return replace(scene, cells=tuple(cells))


def _voxels_about(cell: Cell, scene: Scene) -> Iterator[Shape]:
    """Voxels near a nucleus's centre, the nearest inside the volume where it lies outside.

    Several, since a fold may run through the centre itself.
    """
    assert cell.nucleus is not None
    axes = cell.nucleus.axes
    for share in ((0.0, 0.0, 0.0), *product((-0.35, 0.35), repeat=3)):
        place = each(lambda c, a, s: c + a * s, cell.centre, axes, share)
        yield each(
            lambda p, v, n: min(max(int(p // v), 0), n - 1), place, scene.voxel_nm, scene.shape
        )

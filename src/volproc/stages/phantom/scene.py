"""From a shape, a voxel size and a seed to a scene whose nuclei are numbered without gaps."""

from __future__ import annotations

from dataclasses import replace

from volproc.grid.box import Shape, each
from volproc.grid.scale import VoxelNm
from volproc.stages.phantom.layout import cells_in, lost_slice_in, stripe_in
from volproc.stages.phantom.objects import Nm3, Scene
from volproc.stages.phantom.render import truth_at


def make_scene(
    shape: Shape, voxel_nm: VoxelNm, *, seed: int, cell_density: float = 1.0
) -> Scene:
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

    Decided at one voxel, the nearest to the nucleus's centre: cheap, and it makes ids dense.
    """
    trial, nuclei = [], 0
    for cell in scene.cells:
        if cell.nucleus is not None:
            nuclei += 1
            cell = replace(cell, nucleus=replace(cell.nucleus, id=nuclei))
        trial.append(cell)
    first = replace(scene, cells=tuple(trial))
    final, nuclei = [], 0
    for cell in first.cells:
        if cell.nucleus is not None:
            seen = truth_at(first, _nearest_voxel(cell.centre, scene)) == cell.nucleus.id
            nuclei += seen
            cell = replace(cell, nucleus=replace(cell.nucleus, id=nuclei) if seen else None)
        final.append(cell)
    return replace(first, cells=tuple(final))


def _nearest_voxel(place: Nm3, scene: Scene) -> Shape:
    return each(
        lambda p, v, n: min(max(int(p // v), 0), n - 1), place, scene.voxel_nm, scene.shape
    )

"""Where the cells of a scene are and what each looks like: a pure function of seed and place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import ceil

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape, each
from volproc.grid.scale import VoxelNm
from volproc.stages.phantom.look import HELA, Look
from volproc.stages.phantom.render import truth_at
from volproc.stages.phantom.scene import (
    CELL_REACH_NM,
    JITTER_NM,
    PITCH_NM,
    Cell,
    Fold,
    Nm3,
    Nucleus,
    Rod,
    Scene,
    random_at,
)
from volproc.stages.phantom.sensor import lost_slice_in, stripe_in

DIVIDING_MOVES_NM = 2_500.0
"""How far the dividing cell may leave its place to be seen, without touching nuclei."""

MAX_CELL_AXIS_NM = 9_600.0
"""With its outgrowths, a cell must end within CELL_REACH_NM."""

MAX_FOLDS = 31
"""With the cut; a lattice point has one bit for each (`Fields.near_folds`)."""


def make_scene(
    shape: Shape, voxel_nm: VoxelNm, *, seed: int, cell_density: float = 1.0, look: Look = HELA
) -> Scene:
    """A scene for a volume; `cell_density` is the share of places that hold a cell."""
    extent: Nm3 = each(lambda n, v: n * v, shape, voxel_nm)
    cells = _cells_in(extent, seed, cell_density, look)
    stripe = stripe_in(shape, extent, seed, charging=look.charging)
    return _numbered(Scene(shape, voxel_nm, seed, cells, stripe, lost_slice_in(shape, seed), look))


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

    def renumbered(cell: Cell) -> Cell:
        if cell.nucleus is None:
            return cell
        number = next(left)
        return replace(cell, nucleus=None if number is None else replace(cell.nucleus, id=number))

    return replace(scene, cells=tuple(map(renumbered, scene.cells)))


def _voxels_about(cell: Cell, scene: Scene) -> Iterator[Shape]:
    """Voxels near a nucleus's centre, the nearest inside the volume where it is outside.

    Several, since a fold may run through the centre itself.
    """
    assert cell.nucleus is not None
    axes = cell.nucleus.axes
    for share in ((0.0, 0.0, 0.0), *product((-0.35, 0.35), repeat=3)):
        place = each(lambda c, a, s: c + a * s, cell.centre, axes, share)
        yield each(
            lambda p, v, n: min(max(int(p // v), 0), n - 1), place, scene.voxel_nm, scene.shape
        )


def _cells_in(extent: Nm3, seed: int, density: float, look: Look) -> tuple[Cell, ...]:
    """The cells that may be seen in a volume of `extent` nm, in raster order; nuclei have id 0."""
    sites = list(_sites(extent, seed, density, look))
    divides = _dividing(sites, extent, seed)
    return tuple(
        _dividing_cell(site, extent, seed, look) if site is divides else _cell(site, seed, look)
        for site in sites
    )


@dataclass(frozen=True, eq=False)
class _Site:
    place: Shape
    centre: Nm3
    nucleus_axes: Nm3


def _nucleus_axes(seed: int, place: Shape, size: float) -> Nm3:
    rng = random_at(seed, 1, *place)
    axes = (rng.uniform(3300, 4500), rng.uniform(4200, 5300), rng.uniform(4200, 5300))
    return each(lambda axis: size * axis, axes)


def _anchor(extent: Nm3, seed: int, size: float) -> Nm3:
    """The place of the first cell: in view, and its envelope too when the view is small."""
    rng = random_at(seed, 2)
    shares = rng.uniform(0.35, 0.65, 3)
    # aside where that makes room for a neighbour, which may be the one that divides
    shares = np.where([14_000 < e < 30_000 for e in extent], 0.2 + 0.2 * shares, shares)
    centre = list(shares * extent)
    if max(extent[1:]) < 10_000:
        angle = rng.uniform(0, 2 * np.pi)
        _, a, b = _nucleus_axes(seed, (0, 0, 0), size)
        centre[1] += a * np.sin(angle)
        centre[2] += b * np.cos(angle)
    return centre[0], centre[1], centre[2]


def _sites(extent: Nm3, seed: int, density: float, look: Look) -> Iterator[_Site]:
    """Places of cells that may be seen, in raster order."""
    anchor = _anchor(extent, seed, look.nucleus_size)
    spans = [
        range(-ceil((a + CELL_REACH_NM) / p) - 1, ceil((e - a + CELL_REACH_NM) / p) + 2)
        for a, e, p in zip(anchor, extent, PITCH_NM, strict=True)
    ]
    for place in ((k, j, i) for k in spans[0] for j in spans[1] for i in spans[2]):
        rng = random_at(seed, 3, *place)
        shift = 0.5 * (place[0] % 2)
        moves = rng.uniform(-1, 1, 3) * (0 if place == (0, 0, 0) else 1)
        kept = rng.uniform() < density
        centre: Nm3 = each(
            lambda a, i, s, p, m, j: a + (i + s) * p + m * j,
            anchor, place, (0.0, shift, shift), PITCH_NM, moves, JITTER_NM,
        )  # fmt: skip
        if kept and _distance_outside(centre, extent) < CELL_REACH_NM:
            yield _Site(place, centre, _nucleus_axes(seed, place, look.nucleus_size))


def _distance_outside(centre: Nm3, extent: Nm3) -> float:
    return float(np.linalg.norm(np.subtract(centre, np.clip(centre, 0, extent))))


def _dividing(sites: list[_Site], extent: Nm3, seed: int) -> _Site | None:
    """The cell that divides: never the first one; None where no other can show its middle."""
    others = [s for s in sites if s.place != (0, 0, 0)]
    inside = [s for s in others if _distance_outside(s.centre, extent) == 0]
    if inside:
        return inside[int(random_at(seed, 4).integers(len(inside)))]
    nearest = min(others, key=lambda s: _distance_outside(s.centre, extent), default=None)
    if nearest and _distance_outside(nearest.centre, extent) < 2 * DIVIDING_MOVES_NM:
        return nearest
    return None


def _cell(site: _Site, seed: int, look: Look) -> Cell:
    rng = random_at(seed, 5, *site.place)
    nucleus = Nucleus(
        id=0,
        axes=site.nucleus_axes,
        salt=int(rng.integers(1 << 31)),
        folds=tuple(_folds(site.nucleus_axes, rng, look)),
        nucleoli=tuple(_nucleoli(site, rng, look.nucleus_size)),
    )
    return Cell(site.centre, _cell_axes(site, rng, look.cytoplasm), _turn(rng), nucleus)


def _dividing_cell(site: _Site, extent: Nm3, seed: int, look: Look) -> Cell:
    rng = random_at(seed, 8, *site.place)
    # as near to the volume as the neighbours allow
    inward = np.clip(site.centre, 0, extent) - np.array(site.centre)
    share = min(1.0, DIVIDING_MOVES_NM / (np.linalg.norm(inward) + 1e-9))
    centre = _triple(site.centre + inward * share)
    rods = tuple(_chromosomes(centre, rng))
    return Cell(centre, _cell_axes(site, rng, look.cytoplasm), _turn(rng), None, rods)


def _cell_axes(site: _Site, rng: np.random.Generator, cytoplasm: float) -> Nm3:
    room = (rng.uniform(1800, 3000), rng.uniform(2600, 4200), rng.uniform(2600, 4200))
    return each(lambda a, b: min(a + cytoplasm * b, MAX_CELL_AXIS_NM), site.nucleus_axes, room)


def _turn(rng: np.random.Generator) -> tuple[Nm3, Nm3, Nm3]:
    """A rotation about z by any angle, then a tilt of up to 20 degrees about x; rows are axes."""
    a, b = rng.uniform(0, 2 * np.pi), rng.uniform(-0.35, 0.35)
    about_z = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_x = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    rows = about_x @ about_z
    return _triple(rows[0]), _triple(rows[1]), _triple(rows[2])


def _triple(values: npt.NDArray[np.float64]) -> Nm3:
    return float(values[0]), float(values[1]), float(values[2])


def _folds(axes: Nm3, rng: np.random.Generator, look: Look) -> Iterator[Fold]:
    """Deep invaginations, upright and inclined, and a cut that parts the upper or lower slices.

    No cut where the look leaves no invagination.
    """
    count = min(round(look.folds * int(rng.integers(2, 6))), MAX_FOLDS)
    for _ in range(count):
        angle, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
        flat = np.array([0.0, np.sin(angle), np.cos(angle)])
        outward = np.cos(tilt) * flat + np.sin(tilt) * np.array([1.0, 0, 0])
        side = np.cross(outward, [1.0, 0, 0])
        side /= np.linalg.norm(side)
        roll = rng.uniform(-0.6, 0.6)
        up = np.cross(side, outward)
        normal = np.cos(roll) * side + np.sin(roll) * up
        along = np.cross(outward, normal)
        yield Fold(
            _triple(normal), rng.uniform(-0.35, 0.35) * axes[1],
            _triple(outward), rng.uniform(-0.15, 0.55) * axes[1],
            _triple(along), rng.uniform(-0.5, 0.5) * axes[0], rng.uniform(0.3, 0.8) * axes[0],
            look.fold_width * rng.uniform(45, 120),
        )  # fmt: skip
    if count:
        yield _parting_fold(axes, rng)


def _parting_fold(axes: Nm3, rng: np.random.Generator) -> Fold:
    """A sheet right through one half of the nucleus, so that its slices show two fragments."""
    angle = rng.uniform(0, 2 * np.pi)
    normal = np.array([0.0, np.sin(angle), np.cos(angle)])
    side = float(rng.choice([-1, 1]))
    through = np.array([0.0, np.cos(angle), -np.sin(angle)])
    return Fold(
        _triple(normal), rng.uniform(-0.4, 0.4) * axes[1],
        _triple(through), -20_000.0,
        (1.0, 0.0, 0.0), side * axes[0], rng.uniform(0.5, 0.8) * axes[0],
        rng.uniform(50, 150),
    )  # fmt: skip


def _nucleoli(
    site: _Site, rng: np.random.Generator, size: float
) -> Iterator[tuple[float, float, float, float]]:
    for _ in range(int(rng.integers(1, 4))):
        aside = rng.uniform(-0.45, 0.45, 3) * site.nucleus_axes
        z, y, x = _triple(aside + site.centre)
        yield z, y, x, size * rng.uniform(700, 1500)


def _chromosomes(centre: Nm3, rng: np.random.Generator) -> Iterator[Rod]:
    """Rods crowded in a plate, as in metaphase: 8 um across, 2 um thick."""
    angle = rng.uniform(0, 2 * np.pi)
    across = np.array([0.0, np.sin(angle), np.cos(angle)])
    along = np.array([0.0, np.cos(angle), -np.sin(angle)])
    for _ in range(46):
        radius, turn = 3_600 * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        at = np.array(centre) + rng.normal(0, 380) * across
        at += radius * (np.cos(turn) * along + np.sin(turn) * np.array([1.0, 0, 0]))
        half_axis = rng.normal(0, 1, 3)
        half_axis *= rng.uniform(400, 1000) / np.linalg.norm(half_axis)
        yield Rod(_triple(at), _triple(half_axis), rng.uniform(280, 420))

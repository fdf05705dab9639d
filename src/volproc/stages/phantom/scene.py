"""What a synthetic volume shows: cells, nuclei, folds and faults, in nm from the volume's corner.

A scene follows from the volume's physical extent and a seed: the same extent cut into other
voxels shows the same objects. Nuclei are numbered 1, 2, ... in raster order of their cells, and
every one of them owns at least one voxel. The dividing cell has no nucleus: its envelope is
gone, so its chromosomes carry no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.phantom.look import HELA, Look

Nm3 = tuple[float, float, float]
"""A place or a vector in nm, (z, y, x)."""

PITCH_NM: Nm3 = (11_500.0, 15_500.0, 15_500.0)
"""Distance of neighbouring cells; odd layers are shifted by half a pitch."""

JITTER_NM: Nm3 = (1_000.0, 1_300.0, 1_300.0)
"""How far a cell may be from its place in the grid."""

CELL_REACH_NM = 12_200.0
"""No part of a cell is farther from its centre."""


class Fold(NamedTuple):
    """A sheet of cytoplasm that cuts into a nucleus; vectors are unit, places from its centre.

    The sheet's middle is where `normal . r = offset`. It exists where `outward . r > tip`
    and within `half_span` of `span_centre` along `along`, and thins out towards these ends.
    """

    normal: Nm3
    offset: float
    outward: Nm3
    tip: float
    along: Nm3
    span_centre: float
    half_span: float
    half_width: float


@dataclass(frozen=True, slots=True)
class Nucleus:
    """A flattened ellipsoid, bumpy, with folds; `nucleoli` are balls (z, y, x, radius)."""

    id: int
    axes: Nm3
    salt: int
    folds: tuple[Fold, ...]
    nucleoli: tuple[tuple[float, float, float, float], ...]


class Rod(NamedTuple):
    """A chromosome: a rod with round ends, from the volume's corner."""

    centre: Nm3
    half_axis: Nm3
    radius: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with a nucleus, or with chromosomes while it divides, or with neither."""

    centre: Nm3
    axes: Nm3
    turn: tuple[Nm3, Nm3, Nm3]
    nucleus: Nucleus | None
    chromosomes: tuple[Rod, ...] = ()


@dataclass(frozen=True, slots=True)
class Stripe:
    """A band of rows of one slice, brightened by charging; half as strong in the slice after."""

    slice: int
    centre_nm: float
    half_width_nm: float
    strength: float


@dataclass(frozen=True)
class Scene:
    """Everything `render` needs to know. `lost_slice` shows the slice before it once more."""

    shape: Shape
    voxel_nm: VoxelNm
    seed: int
    cells: tuple[Cell, ...]
    stripe: Stripe
    lost_slice: int | None
    look: Look = HELA

    @property
    def cells_with_nucleus(self) -> tuple[Cell, ...]:
        """The cells that show one, in raster order."""
        return tuple(c for c in self.cells if c.nucleus is not None)

    @property
    def nuclei(self) -> tuple[Nucleus, ...]:
        """The nuclei in the order of their ids."""
        return tuple(c.nucleus for c in self.cells if c.nucleus is not None)


def random_at(seed: int, *place: int) -> np.random.Generator:
    """Random numbers that depend on a seed and a place only."""
    return np.random.default_rng([seed & 0xFFFFFFFF, *(p & 0xFFFFFFFF for p in place)])


class Tables(NamedTuple):
    """Cells as plain arrays and the look, for compiled code: row i of all belongs to one cell.

    Its folds are rows fold_first[i] to fold_first[i + 1].
    """

    cells: npt.NDArray[np.float64]  # centre, 1 / axes of cell and nucleus, turn: 18 numbers
    ids: npt.NDArray[np.uint32]  # 0: no nucleus
    salts: npt.NDArray[np.uint32]
    folds: npt.NDArray[np.float32]  # the 14 numbers of a Fold in its order
    fold_first: npt.NDArray[np.int64]
    nucleoli: npt.NDArray[np.float64]
    nucleolus_first: npt.NDArray[np.int64]
    rods: npt.NDArray[np.float64]  # centre, half axis, radius
    look: Look


def tables_near(scene: Scene, start_nm: Nm3, stop_nm: Nm3) -> Tables:
    """The cells that may reach into a region, in the scene's order."""
    centres = np.array([cell.centre for cell in scene.cells]).reshape(-1, 3)
    away = np.linalg.norm(centres - np.clip(centres, start_nm, stop_nm), axis=1)
    cells = [scene.cells[i] for i in np.flatnonzero(away < CELL_REACH_NM)]
    nuclei = [cell.nucleus for cell in cells]
    folds = [n.folds if n else () for n in nuclei]
    nucleoli = [n.nucleoli if n else () for n in nuclei]
    return Tables(
        cells=_rows([_cell_row(cell) for cell in cells], 18),
        ids=np.array([n.id if n else 0 for n in nuclei] or [0], np.uint32),
        salts=np.array([n.salt if n else 0 for n in nuclei] or [0], np.uint32),
        folds=_rows([np.hstack(fold) for own in folds for fold in own], 14).astype(np.float32),
        fold_first=_firsts(folds),
        nucleoli=_rows([n for own in nucleoli for n in own], 4),
        nucleolus_first=_firsts(nucleoli),
        rods=_rows([np.hstack(rod) for cell in cells for rod in cell.chromosomes], 7),
        look=scene.look,
    )


def _rows(rows: Sequence[npt.ArrayLike], width: int) -> npt.NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(-1, width)


def _firsts(own: Sequence[Sequence[object]]) -> npt.NDArray[np.int64]:
    # one more end than rows, and never without a row: compiled code may look at row 0
    return np.array([*accumulate(map(len, own), initial=0)] + [0] * (not own), np.int64)


def _cell_row(cell: Cell) -> npt.NDArray[np.float64]:
    nucleus: Nm3 = cell.nucleus.axes if cell.nucleus else (1.0, 1.0, 1.0)
    inverse = [1.0 / axis for axis in (*cell.axes, *nucleus)]
    return np.hstack([cell.centre, inverse, *cell.turn])

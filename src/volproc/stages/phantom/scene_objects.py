"""What a made volume shows: cells, nuclei, folds and faults, in nm from the volume's corner.

A scene follows from the volume's physical extent and a seed: the same extent cut into other
voxels shows the same objects. Nuclei are numbered 1, 2, ... in raster order of their cells, and
every one of them owns at least one voxel. The dividing cell has no nucleus: its envelope is
gone, so its chromosomes carry no label.
"""

from __future__ import annotations

from dataclasses import dataclass

from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm

Nm3 = tuple[float, float, float]
"""A place or a vector in nm, (z, y, x)."""

PITCH_NM: Nm3 = (11_500.0, 15_500.0, 15_500.0)
"""Distance of neighbouring cells; odd layers stand half a pitch aside."""

JITTER_NM: Nm3 = (1_000.0, 1_300.0, 1_300.0)
"""How far a cell may stand from its place in the grid."""

CELL_REACH_NM = 12_200.0
"""No part of a cell lies farther from its centre."""


@dataclass(frozen=True, slots=True)
class Fold:
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


@dataclass(frozen=True, slots=True)
class Rod:
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

    @property
    def cells_with_nucleus(self) -> tuple[Cell, ...]:
        """The cells that show one, in raster order."""
        return tuple(c for c in self.cells if c.nucleus is not None)

    @property
    def nuclei(self) -> tuple[Nucleus, ...]:
        """The nuclei in the order of their ids."""
        return tuple(c.nucleus for c in self.cells if c.nucleus is not None)

"""A scene's objects near a block as plain arrays, for compiled code."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.stages.phantom.scene_objects import CELL_REACH_NM, Cell, Fold, Nm3, Scene


class Tables(NamedTuple):
    """Row i of all belongs to one cell; its folds are rows fold_first[i] to fold_first[i + 1]."""

    cells: npt.NDArray[np.float64]  # centre, 1 / axes of cell and nucleus, turn: 18 numbers
    ids: npt.NDArray[np.uint32]  # 0: no nucleus
    salts: npt.NDArray[np.uint32]
    folds: npt.NDArray[np.float32]  # the 14 numbers of a Fold in its order
    fold_first: npt.NDArray[np.int64]
    nucleoli: npt.NDArray[np.float64]
    nucleolus_first: npt.NDArray[np.int64]
    rods: npt.NDArray[np.float64]  # centre, half axis, radius


def tables_near(scene: Scene, start_nm: Nm3, stop_nm: Nm3) -> Tables:
    """The cells that may reach into a region, in the scene's order."""
    cells = _near(scene.cells, start_nm, stop_nm)
    folds = [c.nucleus.folds if c.nucleus else () for c in cells]
    nucleoli = [c.nucleus.nucleoli if c.nucleus else () for c in cells]
    return Tables(
        cells=_rows([_cell_row(c) for c in cells], 18),
        ids=np.array([c.nucleus.id if c.nucleus else 0 for c in cells] or [0], np.uint32),
        salts=np.array([c.nucleus.salt if c.nucleus else 0 for c in cells] or [0], np.uint32),
        folds=_rows([_fold_row(f) for own in folds for f in own], 14).astype(np.float32),
        fold_first=_firsts([len(own) for own in folds]),
        nucleoli=_rows([n for own in nucleoli for n in own], 4),
        nucleolus_first=_firsts([len(own) for own in nucleoli]),
        rods=_rows([(*r.centre, *r.half_axis, r.radius) for c in cells for r in c.chromosomes], 7),
    )


def _near(cells: tuple[Cell, ...], start_nm: Nm3, stop_nm: Nm3) -> list[Cell]:
    """Cells that may reach into a region."""
    centres = np.array([cell.centre for cell in cells]).reshape(-1, 3)
    away = np.linalg.norm(centres - np.clip(centres, start_nm, stop_nm), axis=1)
    return [cells[i] for i in np.flatnonzero(away < CELL_REACH_NM)]


def _rows(rows: list[tuple[float, ...]], width: int) -> npt.NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(-1, width)


def _firsts(counts: list[int]) -> npt.NDArray[np.int64]:
    # one more end than rows, and never without a row: compiled code may look at row 0
    return np.array(list(accumulate(counts, initial=0)) + [0] * (not counts), np.int64)


def _cell_row(cell: Cell) -> tuple[float, ...]:
    nucleus: Nm3 = cell.nucleus.axes if cell.nucleus else (1.0, 1.0, 1.0)
    inverse = [1.0 / axis for axis in (*cell.axes, *nucleus)]
    a, b, c = cell.turn
    return (*cell.centre, *inverse, *a, *b, *c)


def _fold_row(f: Fold) -> tuple[float, ...]:
    return (
        *f.normal, f.offset, *f.outward, f.tip, *f.along, f.span_centre, f.half_span, f.half_width,
    )  # fmt: skip

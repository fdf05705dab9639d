"""The scores, from what all blocks counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import Any

import numpy as np

from volproc.stages.evaluate.block_surfaces import SurfaceTask
from volproc.stages.evaluate.block_tables import (
    ALL_SLICES,
    ERRORS,
    KEYS,
    PAIRS,
    PIXELS,
    SURFACES,
    SWEEPS,
)
from volproc.stages.evaluate.overlap import FORMULAS as OVERLAP_FORMULAS
from volproc.stages.evaluate.overlap import Overlap
from volproc.stages.evaluate.pixel_distances import FORMULAS as PIXEL_FORMULAS
from volproc.stages.evaluate.pixel_distances import average_hausdorff
from volproc.stages.evaluate.score_blocks import ScoreBlocks
from volproc.stages.evaluate.scores import Row, Score
from volproc.stages.evaluate.threshold_sweep import FORMULAS as SWEEP_FORMULAS
from volproc.stages.evaluate.threshold_sweep import sweep_of
from volproc.stages.scores.contingency import FORMULAS as OBJECT_FORMULAS
from volproc.stages.scores.contingency import Contingency
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.stages.scores.surface_distances import SURFACE_FORMULAS
from volproc.stages.scores.surface_sums import distances_of

MAX_LISTED = 1000
"""Objects of the truth, and of the result, that are listed as split or merging."""


@dataclass(frozen=True)
class Gathered:
    """What all blocks counted: the tables, and how surfaces were compared."""

    task: ScoreBlocks
    tolerances_nm: tuple[float, ...]
    slices: Mapping[str, dict[int, Overlap]]
    tables: Mapping[str, SparseSums]

    @classmethod
    def of(
        cls, task: ScoreBlocks, records: Sequence[Mapping[str, Any]], tolerances_nm: Sequence[float]
    ) -> Gathered:
        """From the records of all blocks."""
        stored = [(record["block"], record["tables"]) for record in records]
        tables = {name: task.files.merged(name, stored) for name in KEYS}
        return cls(task, tuple(tolerances_nm), _overlaps(records), tables)

    def scores(self) -> tuple[Score, ...]:
        """One for each answer."""
        return tuple(self._score(n, name) for n, name in enumerate(self.task.names))

    def formulas(self) -> dict[str, str]:
        """Of all scores that there are."""
        found = {**OVERLAP_FORMULAS}
        if self.task.surfaces:
            found |= surface_formulas(self.task.surfaces)
        if len(self.tables[PAIRS]):
            found |= OBJECT_FORMULAS
        found |= PIXEL_FORMULAS if self.task.reference else {}
        return found | SWEEP_FORMULAS if len(self.tables[SWEEPS]) else found

    def _score(self, n: int, name: str) -> Score:
        if name not in self.task.in_full:
            return Score(name, self.slices[name])
        own = {table: under(sums, n) for table, sums in self.tables.items()}
        outlines = self._outlines(name, own[SURFACES])
        pixels, reference = average_hausdorff(own[PIXELS], self.slices[name])
        return Score(
            name,
            self.slices[name],
            surfaces=self._surfaces(own[SURFACES], outlines),
            outlines=outlines,
            objects=objects_of(own[PAIRS]) if len(own[PAIRS]) else None,
            sweep=sweep_of(own[SWEEPS]) if len(own[SWEEPS]) else None,
            reference=reference if self.task.reference else None,
            pixel_distances=pixels if self.task.reference else {},
            pairs=own[PAIRS],
            errors=own[ERRORS],
        )

    def _outlines(self, name: str, sums: SparseSums) -> dict[int, Row]:
        task = self.task.surfaces
        if not task or not task.in_slices:
            return {}
        return {z: self._row(under(sums, z), task.voxel_nm[1:]) for z in self.slices[name]}

    def _surfaces(self, sums: SparseSums, outlines: Mapping[int, Row]) -> dict[str, Row]:
        task, found = self.task.surfaces, dict[str, Row]()
        if task and task.in_space:
            found["3d"] = self._row(under(sums, ALL_SLICES), task.voxel_nm)
        if task and task.in_slices:
            pooled = SparseSums.of(
                sums.keys[sums.keys[:, 0] >= 0, 1:], sums.counts[sums.keys[:, 0] >= 0]
            )
            found["2d"] = self._row(pooled, task.voxel_nm[1:])
            found["2d mean"] = _mean([*outlines.values()])
        return found

    def _row(self, sums: SparseSums, nm: Sequence[float]) -> Row:
        distances = distances_of(sums, nm=nm)
        scores = distances.scores(self.tolerances_nm)
        return dict.fromkeys(scores) if distances.is_nothing else scores


def surface_formulas(task: SurfaceTask) -> dict[str, str]:
    """What surface scores are, and what counts as a surface."""
    return {
        **SURFACE_FORMULAS,
        "surface": (
            "where voxels of both kinds meet around a corner of the grid, weighed by area (3d) or "
            "length (2d); not at the border of what is scored, nor next to ignored voxels"
        ),
        "most_distance": (
            f"distances beyond {task.most_nm:g} nm, and those to a side without a surface, count "
            f"as {task.most_nm:g} nm"
        ),
        "2d": "outlines of all slices together, each against that of its own slice",
        "2d mean": "mean over slices on which either side has an outline",
        "empty": "null: neither side has anything there",
    }


def objects_of(pairs: SparseSums) -> dict[str, Any] | None:
    """Scores of objects and which are split or merged; None if no side has several."""
    table = Contingency.of(pairs)
    if max(len(ids) for ids, _ in table.sizes) < 2:
        return None
    splits, merges = (islice(one.items(), MAX_LISTED) for one in (table.splits(), table.merges()))
    return {
        **table.scores(),
        "split": [{"truth": t, "results": found} for t, found in splits],
        "merged": [{"result": r, "truths": found} for r, found in merges],
    }


def _overlaps(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, Overlap]]:
    found: dict[str, dict[int, Overlap]] = {}
    for record in records:
        for name, counts in record["counts"].items():
            of_name = found.setdefault(name, {})
            for z, count in enumerate(counts, start=record["first"]):
                of_name[z] = of_name.get(z, Overlap()) + Overlap(*count)
    return found


def _mean(rows: Sequence[Row]) -> Row:
    """Means of each score over the rows that have it."""
    names = list(rows[0]) if rows else []
    known = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    return {name: fmean(values) if values else None for name, values in known.items()}


def under(sums: SparseSums, first: int) -> SparseSums:
    """The rows whose keys begin with `first`, without it."""
    column = sums.keys[:, 0]
    start, stop = np.searchsorted(column, [first, first + 1])
    return SparseSums(sums.keys[start:stop, 1:], sums.counts[start:stop])

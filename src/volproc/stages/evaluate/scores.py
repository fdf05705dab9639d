"""Scores by name, as a whole and slice by slice; as rows of a table and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from volproc.grid.box import Box
from volproc.stages.evaluate.overlap import FORMULAS, Overlap
from volproc.stages.scores.sparse_sums import SparseSums

Row = Mapping[str, Any]
"""Scores by name; None where one is undefined."""
LIST_OF_NUMBERS = re.compile(r"\[[-+\d.,\se]*(?:null[-+\d.,\se]*)*\]")
"""Written on one line."""


@dataclass(frozen=True)
class Score:
    """One answer against the ground truth. `slices` are z slices of the ground truth's grid.

    `surfaces` are scores of outlines ("2d": of all slices together) and of surfaces in space
    ("3d"), `outlines` those of single slices; `objects` and `sweep` are None where there are none.
    `reference` is as the published code scores, `pixel_distances` that of single slices. `pairs`
    and `errors` are tables of `block_tables`.
    """

    name: str
    slices: dict[int, Overlap]
    surfaces: Mapping[str, Row] = field(default_factory=dict)
    outlines: Mapping[int, Row] = field(default_factory=dict)
    objects: Row | None = None
    sweep: Row | None = None
    reference: Row | None = None
    pixel_distances: Mapping[int, float] = field(default_factory=dict)
    pairs: SparseSums | None = field(default=None, compare=False)
    errors: SparseSums | None = field(default=None, compare=False)

    @property
    def whole(self) -> Overlap:
        """All scored slices together."""
        return reduce(add, self.slices.values(), Overlap())

    def between(self, first: int, end: int) -> Overlap:
        """The slices from `first` up to, not including, `end`."""
        return reduce(add, (self.slices[z] for z in range(first, end)), Overlap())

    def as_json(self) -> dict[str, Any]:
        """Everything, single slices last."""
        parts = {
            "surfaces": self.surfaces or None,
            "objects": self.objects,
            "sweep": self.sweep,
            "reference": self.reference,
        }
        return {
            "answer": self.name,
            **self.whole.as_row(),
            **{name: part for name, part in parts.items() if part is not None},
            "slices": [{"z": z, **row} for z, row in self.slice_rows().items()],
        }

    def slice_rows(self) -> dict[int, Row]:
        """All scores of single slices, in their order."""
        return {z: self._slice(z) for z in sorted(self.slices)}

    def _slice(self, z: int) -> Row:
        found = {**self.slices[z].as_row(), **self.outlines.get(z, {})}
        if self.reference is not None:
            found["average_hausdorff_px"] = self.pixel_distances.get(z)
        return found


@dataclass(frozen=True)
class Scores:
    """What every answer scored, and `about` what was compared."""

    scores: tuple[Score, ...]
    about: dict[str, Any]
    formulas: Mapping[str, str] = field(default_factory=lambda: FORMULAS)

    def __getitem__(self, name: str) -> Score:
        return {score.name: score for score in self.scores}[name]

    @property
    def note(self) -> str:
        """Which voxels were scored where results and ground truth are not of one space; else ""."""
        part = self.about.get("overlap")
        if not part:
            return ""
        box = Box(tuple(part["first"]), tuple(part["end"]))
        return (
            f"scored where results and ground truth overlap: voxels {box} of {self.about['truth']}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """A table: one row per answer, over all scored slices."""
        return [{"answer": score.name, **score.whole.as_row()} for score in self.scores]

    def surface_rows(self) -> list[dict[str, Any]]:
        """A table: one row per answer and way to compare surfaces; empty without any."""
        return [
            {"answer": score.name, "surfaces": how, **row}
            for score in self.scores
            for how, row in score.surfaces.items()
        ]

    def object_rows(self) -> list[dict[str, Any]]:
        """A table: one row per answer whose objects were scored."""
        return [
            {"answer": score.name, **{k: v for k, v in score.objects.items() if _is_number(v)}}
            for score in self.scores
            if score.objects is not None
        ]

    def to_json(self) -> str:
        """Everything, single slices included; an undefined score is null."""
        listed = [score.as_json() for score in self.scores]
        text = json.dumps({**self.about, "formulas": self.formulas, "scores": listed}, indent=1)
        return LIST_OF_NUMBERS.sub(lambda found: " ".join(found[0].split()), text)


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)

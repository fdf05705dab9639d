"""Scores by name, as a whole and slice by slice; as rows of a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from volproc.grid.box import Box
from volproc.stages.evaluate.overlap import FORMULAS, Overlap


@dataclass(frozen=True)
class Score:
    """One mask against the ground truth. `slices` are z slices of the ground truth's grid."""

    name: str
    slices: dict[int, Overlap]

    @property
    def whole(self) -> Overlap:
        """All scored slices together."""
        return reduce(add, self.slices.values(), Overlap())

    def between(self, first: int, end: int) -> Overlap:
        """The slices from `first` up to, not including, `end`."""
        return reduce(add, (self.slices[z] for z in range(first, end)), Overlap())


@dataclass(frozen=True)
class Scores:
    """What every mask scored, and `about` what was compared."""

    scores: tuple[Score, ...]
    about: dict[str, Any]

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
        """A table: one row per mask, over all scored slices."""
        return [{"answer": score.name, **score.whole.as_row()} for score in self.scores]

    def to_json(self) -> str:
        """Everything, single slices included; an undefined score is null."""
        listed = [
            {
                "answer": score.name,
                **score.whole.as_row(),
                "slices": [{"z": z, **one.as_row()} for z, one in sorted(score.slices.items())],
            }
            for score in self.scores
        ]
        return json.dumps({**self.about, "formulas": FORMULAS, "scores": listed}, indent=1)

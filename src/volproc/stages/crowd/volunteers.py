"""Simulated volunteers: who they are and how they err.

No study states how often each error occurs, so the numbers below are chosen: the sizes of slips
from what a hand does with a mouse on pixels of 20 nm (3 to 12 of them), the kinds of error from
what the drawings of Etch-a-Cell show (gaps, lines traced twice, missed fragments, other cells,
graffiti), and how many of each kind of person so that the published method errs on the crowds
`typical` and `bad` about as it does elsewhere: 63 nm with 5 volunteers, 26 nm with 21 (typical),
109 and 43 nm (bad). They serve to compare methods, not to predict a project's error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from volproc.stages.crowd.hand_errors import MAX_DEVIATIONS
from volproc.stages.crowd.visible_outlines import Outline

Kind = Literal["careful", "ordinary", "hasty", "astray", "vandal"]
Crowd = Literal["clean", "typical", "bad"]

POOL = 100
"""People in a crowd. A slice is shown to some of them, so each sees slices of every kind."""


@dataclass(frozen=True)
class Habits:
    """How far and how often somebody errs; lengths in nm, the others are probabilities."""

    jitter_nm: float = 0.0
    """Standard deviation of the line along y and x, the same along the whole outline."""
    reach_nm: float = 600.0
    """Length along which the jitter hardly changes."""
    offset_nm: float = 0.0
    """Standard deviation of a slice's whole drawing along y and x."""
    size: float = 0.0
    """Relative; the standard deviation in a kind, a person's own and lasting error in a person."""
    strokes: float = 1.0
    """Mean number of strokes that an outline is drawn in."""
    gap_nm: float = 0.0
    """Mean distance between the end of a stroke and the next one's beginning."""
    reverse: float = 0.5
    """That a stroke runs the other way round."""
    shuffle: float = 0.5
    """That strokes are drawn in any order."""
    double: float = 0.0
    """That an outline is traced twice."""
    partial: float = 0.0
    """That 40 to 85% of an outline is drawn."""
    miss: float = 0.0
    """That a fragment other than the largest is not drawn."""
    stray: float = 0.0
    """That something inside the object is outlined as well."""
    wrong: float = 0.0
    """That something else is outlined: the whole cell, or a neighbour."""
    graffiti: float = 0.0
    """That what is drawn follows nothing."""
    absent: float = 0.0
    """That somebody says "nothing here" where there is something."""
    phantom: float = 0.0
    """That somebody draws where there is nothing."""


KINDS: dict[Kind, Habits] = {
    "careful": Habits(
        jitter_nm=70, offset_nm=15, size=0.004, strokes=1.5, gap_nm=60, double=0.01, partial=0.005,
        miss=0.03, stray=0.005, absent=0.003, phantom=0.01,
    ),
    "ordinary": Habits(
        jitter_nm=105, offset_nm=30, size=0.008, strokes=2.5, gap_nm=150, double=0.08,
        partial=0.06, miss=0.12, stray=0.02, wrong=0.01, graffiti=0.003, absent=0.02, phantom=0.04,
    ),
    "hasty": Habits(
        jitter_nm=210, offset_nm=60, size=0.015, strokes=4, gap_nm=400, double=0.15, partial=0.15,
        miss=0.4, stray=0.06, wrong=0.04, graffiti=0.02, absent=0.08, phantom=0.1,
    ),
    "astray": Habits(
        jitter_nm=160, offset_nm=40, size=0.01, strokes=2.5, gap_nm=200, double=0.04, partial=0.05,
        miss=0.3, stray=0.05, wrong=0.7, graffiti=0.01, absent=0.05, phantom=0.5,
    ),
    "vandal": Habits(
        jitter_nm=250, offset_nm=80, size=0.02, strokes=3, gap_nm=500, double=0.1, partial=0.2,
        miss=0.5, stray=0.2, wrong=0.1, graffiti=0.75, absent=0.1, phantom=0.75,
    ),
}  # fmt: skip

CROWDS: dict[Crowd, Mapping[Kind, float]] = {
    "clean": {"careful": 0.8, "ordinary": 0.2},
    "typical": {"careful": 0.25, "ordinary": 0.53, "hasty": 0.18, "astray": 0.025, "vandal": 0.015},
    "bad": {"careful": 0.15, "ordinary": 0.45, "hasty": 0.28, "astray": 0.07, "vandal": 0.05},
}
"""Shares of the kinds."""


@dataclass(frozen=True)
class Volunteer:
    """One person: number `index` of the crowd of `seed`, with habits that never change."""

    index: int
    habits: Habits
    seed: int = 0

    @property
    def name(self) -> str:
        """As the export has it; every fourth did not log in."""
        if self.index % 4 == 3:
            return f"not-logged-in-{self.index:020x}"
        return f"volunteer-{self.index:04}"

    def reach_nm(self, outline: Outline) -> float:
        """No point of an honest drawing of `outline` is farther from the true one than this."""
        around = np.linalg.norm(outline.points - outline.points.mean(axis=0), axis=1).max()
        slips = self.habits.jitter_nm + self.habits.offset_nm
        return float(MAX_DEVIATIONS * slips + abs(self.habits.size) * around)


def volunteers(crowd: Crowd, *, seed: int, count: int = POOL) -> tuple[Volunteer, ...]:
    """The people of a crowd; the first ones are the same whatever `count`."""
    return tuple(_volunteer(crowd, index, seed) for index in range(count))


def _volunteer(crowd: Crowd, index: int, seed: int) -> Volunteer:
    rng = np.random.default_rng((seed, 1, index))
    shares = CROWDS[crowd]
    habits = KINDS[list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]]
    # a factor of 0.6 to 1.6 between people of a kind
    skill = float(np.exp(np.clip(rng.normal(0, 0.25), -0.5, 0.5)))
    size = float(np.clip(rng.normal(0, habits.size), -2 * habits.size, 2 * habits.size))
    lengths = {name: getattr(habits, name) * skill for name in ("jitter_nm", "offset_nm", "gap_nm")}
    return Volunteer(index, replace(habits, size=size, **lengths), seed)


def panel(people: Sequence[Volunteer], z: int, *, count: int) -> tuple[Volunteer, ...]:
    """The `count` people who are shown slice `z`; a larger panel contains the smaller one."""
    rng = np.random.default_rng((people[0].seed, 2, z))
    return tuple(people[n] for n in rng.permutation(len(people))[:count])

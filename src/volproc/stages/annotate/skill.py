"""How precisely each volunteer draws, over many slices: one number, which weighs their votes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from volproc.drawing import SliceVotes
from volproc.stages.annotate.fragments import drawn_by, interior
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.rasterise import Runs, area, bounds, weighted_sum

Errors = Sequence[tuple[str, float]]
"""Of one slice: volunteers, and how far their drawings lie from the agreement on average, in nm."""

MIN_NM = 10.0
"""Nobody draws more precisely."""
PRIOR_SLICES = 2.0
"""As many slices of an average volunteer are added to everyone's: few slices tell little."""
BEST = 0.1
"""This part of the volunteers have a skill of 1."""


def slice_errors(votes: SliceVotes, nm: tuple[float, float], options: AnnotateOptions) -> Errors:
    """How far each drawing lies from the majority of interiors on one slice.

    Skills found with the answer of `cria` are no better, and cost three times as much. The error is
    the area between a drawing and the majority over the length of their outlines: about the mean
    distance where a drawing fits, and the radius of the object or more for what is missing or
    invented. Slices on which a volunteer rightly drew nothing, and lines that cannot be closed,
    tell nothing.
    """
    drawn = [
        drawn_by(vote, number, close_nm=options.close_nm, nm=nm, shape_yx=votes.shape_yx)
        for number, vote in enumerate(votes.votes)
    ]
    told = [bool(one.loops) or not one.left_open for one in drawn]
    interiors = [interior(one.loops, votes.shape_yx) for one in drawn]
    origin, label = _majority(interiors, sum(told))
    held, edge = int(label.sum()), _edge(label)
    before = np.pad(np.cumsum(label, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    found = []
    for vote, runs, sure in zip(votes.votes, interiors, told, strict=True):
        if sure and (held or len(runs)):
            apart = held + area(runs) - 2 * _held_by(runs, before, origin)
            around = max(edge, _edge_of(runs))
            found.append((vote.volunteer, apart / around * float(np.sqrt(nm[0] * nm[1]))))
    return found


def _majority(
    interiors: Sequence[Runs], votes: int
) -> tuple[tuple[int, int], npt.NDArray[np.bool_]]:
    """The first voxel of a box, and whether half of the votes hold each of its voxels."""
    origin, shape = bounds(interiors)
    total = weighted_sum(interiors, [1.0] * len(interiors), origin_yx=origin, shape_yx=shape)
    return origin, 2 * total >= votes


def skills(slices: Iterable[Errors]) -> dict[str, float]:
    """One skill per volunteer, 0 to 1, from the errors on slices: how much a vote counts.

    Votes weigh as the inverse of the variance, as for the best mean of measurements that differ
    in precision; the spread is the median over a volunteer's slices, so that a single blunder does
    not count, drawn towards that of all where there are few. The best tenth have 1.
    """
    logs = defaultdict[str, list[float]](list)
    for errors in slices:
        for volunteer, nm in errors:
            logs[volunteer].append(float(np.log(max(nm, MIN_NM))))
    if not logs:
        return {}
    medians = {volunteer: float(np.median(values)) for volunteer, values in logs.items()}
    typical = float(np.median(list(medians.values())))
    spread = {
        volunteer: (PRIOR_SLICES * typical + len(logs[volunteer]) * median)
        / (PRIOR_SLICES + len(logs[volunteer]))
        for volunteer, median in medians.items()
    }
    best = float(np.quantile(list(spread.values()), BEST, method="lower"))
    return {volunteer: float(np.exp(min(0, 2 * (best - s)))) for volunteer, s in spread.items()}


def _held_by(drawn: Runs, before: npt.NDArray[np.int32], origin_yx: tuple[int, int]) -> int:
    """Voxels of the label in the runs; `before` counts those left of each voxel in its row."""
    rows = drawn[:, 0] - origin_yx[0]
    within = (rows >= 0) & (rows < len(before))
    ends = np.clip(drawn[within, 1:] - origin_yx[1], 0, before.shape[1] - 1)
    counts = before[rows[within, None], ends]
    return int((counts[:, 1] - counts[:, 0]).sum())


def _edge(label: npt.NDArray[np.bool_]) -> float:
    """Length of the label's outline in voxels, at least 1."""
    sides = sum(np.count_nonzero(np.diff(label, axis=axis)) for axis in (0, 1))
    # of an outline in any direction, sides of voxels are 4 / pi times as long
    return max(float(sides) * np.pi / 4, 1.0)


def _edge_of(drawn: Runs) -> float:
    """The same of a drawing, from its rows: twice its height, at least 1."""
    return max(2.0 * len(drawn), 1.0)

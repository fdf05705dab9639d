"""How precisely each volunteer draws, over many slices: one number, which weighs their votes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from volproc.drawing import SliceVotes, Window
from volproc.stages.annotate.geometry.rasterisation import Runs, area, bounds, weighted_sum
from volproc.stages.annotate.methods.cria.averaging import MIN_SPREAD_NM
from volproc.stages.annotate.methods.cria.loop_matching import lines_of
from volproc.stages.annotate.options import AnnotateOptions

Errors = Sequence[tuple[str, float]]
"""Of one slice: volunteers, and how far their drawings lie from the agreement on average, in nm."""

PRIOR_SLICES = 2.0
"""Everyone gets as many slices of an average volunteer in addition: few slices tell little."""
BEST_SHARE = 0.1
"""This share of the volunteers have a skill of 1."""


def slice_errors(votes: SliceVotes, nm: tuple[float, float], options: AnnotateOptions) -> Errors:
    """How far each drawing lies from the majority of interiors on one slice.

    (Skills measured against the result of `cria` are no better, and cost three times as much.) The
    error is the area between a drawing and the majority over the length of their outlines: about
    the mean distance where a drawing fits, and the radius of the object or more for what is missing
    or invented. Slices on which a volunteer rightly drew nothing, and lines that cannot be closed,
    tell nothing.
    """
    drawn = lines_of(votes, close_nm=options.close_nm, nm=nm)
    interiors = [one.interior for one in drawn]
    window = bounds(interiors)
    counts = weighted_sum(interiors, [1.0] * len(drawn), window)
    label = 2 * counts >= sum(one.says_where for one in drawn)
    size, edge = int(label.sum()), _edge(label)
    before = np.pad(np.cumsum(label, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    found = []
    for vote, one in zip(votes.votes, drawn, strict=True):
        if one.says_where and (size or len(one.interior)):
            apart = size + area(one.interior) - 2 * _shared(one.interior, before, window)
            around = max(edge, 2.0 * len(one.interior))  # a drawing's outline: twice its rows
            found.append((vote.volunteer, apart / around * float(np.sqrt(nm[0] * nm[1]))))
    return found


def skills(slices: Iterable[Errors]) -> dict[str, float]:
    """One skill per volunteer, 0 to 1, from the errors on slices: how much a vote counts.

    Votes weigh as the inverse of the variance, as for the best mean of measurements that differ
    in precision. The spread is the median over a volunteer's slices, so that a single blunder does
    not count, drawn towards that of all where there are few. The best tenth have 1.
    """
    logs = defaultdict[str, list[float]](list)
    for errors in slices:
        for volunteer, nm in errors:
            logs[volunteer].append(float(np.log(max(nm, MIN_SPREAD_NM))))
    if not logs:
        return {}
    medians = {volunteer: float(np.median(values)) for volunteer, values in logs.items()}
    typical = float(np.median(list(medians.values())))
    spread = {
        volunteer: (PRIOR_SLICES * typical + len(logs[volunteer]) * median)
        / (PRIOR_SLICES + len(logs[volunteer]))
        for volunteer, median in medians.items()
    }
    best = float(np.quantile(list(spread.values()), BEST_SHARE, method="lower"))
    return {volunteer: float(np.exp(min(0, 2 * (best - s)))) for volunteer, s in spread.items()}


def _shared(drawn: Runs, before: npt.NDArray[np.int32], window: Window) -> int:
    """Voxels of the label in the runs; `before` counts those left of each voxel in its row."""
    ends = drawn[:, 1:] - window.start[1]
    counts = before[(drawn[:, 0] - window.start[0])[:, None], ends]
    return int((counts[:, 1] - counts[:, 0]).sum())


def _edge(label: npt.NDArray[np.bool_]) -> float:
    """Length of the label's outline in voxels, at least 1."""
    sides = sum(np.count_nonzero(np.diff(label, axis=axis)) for axis in (0, 1))
    # on average over all directions, the sides of voxels are 4 / pi times as long as the outline
    return max(float(sides) * np.pi / 4, 1.0)

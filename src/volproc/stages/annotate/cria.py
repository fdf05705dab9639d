"""CRIA, our default: fragments matched, lines averaged where they agree, volunteers weighed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from volproc.config import AnnotateOptions
from volproc.drawing import Patch, Skills, SliceVotes
from volproc.stages.annotate.distances import Grid, middle, signed_distances, to_voxels
from volproc.stages.annotate.fragments import Fragment, Loop, interior, loops_of, match
from volproc.stages.annotate.rasterise import bounds, weighted_sum

REACH_NM = 500.0
"""Lines farther than this from a place are all equally far."""
CELLS = 10
"""Of the grid within the reach."""
DEGREES = 3.0
"""Of freedom of the t-distribution of slips: small for heavy tails."""
APART_NM = 1500.0
"""Slips this far apart along an outline are independent of each other."""
PRIOR = 4.0
"""As many independent slips as a volunteer's skill counts for."""
LEAST_NM = 10.0
"""Nobody draws more precisely."""
LEAST_SKILL = 1e-3
"""Nobody counts for less, unless for nothing."""
ROUNDS = 5
"""Of weighing anew; more change nothing."""
BELOW_HALF = np.nextafter(np.float32(0.5), np.float32(0))


def cria(
    votes: SliceVotes, nm: tuple[float, float], skills: Skills, options: AnnotateOptions
) -> Patch:
    """Probability that a voxel lies inside, from what each volunteer drew of each fragment.

    A fragment exists if half of those who looked drew it, and ends where the lines of those who
    drew it agree best; what it holds is no surer than that it exists. Elsewhere the agreement is
    the share of volunteers around a voxel, below 0.5.
    """
    drawn, looked = [], []
    for number, vote in enumerate(votes.votes):
        loops, left_open = loops_of(
            vote, number, close_nm=options.close_nm, nm=nm, shape_yx=votes.shape_yx
        )
        drawn.append(loops)
        # who drew a line that cannot be closed saw something, but did not say where
        looked.append(0.0 if left_open and not loops else skills.get(vote.volunteer, 1.0))
    every = [loop for loops in drawn for loop in loops]
    origin, shape = bounds([loop.runs for loop in every])
    agreement = np.minimum(_share(drawn, looked, votes.shape_yx, (origin, shape)), BELOW_HALF)
    for fragment in match(every, looked):
        presence = sum(looked[vote] for vote in fragment.seen) / max(sum(looked), LEAST_SKILL)
        if presence >= 0.5 - 1e-9:
            patch = _outlined(fragment, looked, nm, Patch(origin, agreement))
            surest = np.minimum(patch.values, max(presence, 0.5))
            _raise_to(Patch(patch.origin_yx, surest), Patch(origin, agreement))
    return Patch(origin, agreement)


def _share(
    drawn: Sequence[Sequence[Loop]],
    looked: Sequence[float],
    shape_yx: tuple[int, int],
    box: tuple[tuple[int, int], tuple[int, int]],
) -> npt.NDArray[np.float32]:
    interiors = [interior(loops, shape_yx) for loops in drawn]
    total = weighted_sum(interiors, looked, origin_yx=box[0], shape_yx=box[1])
    return (total / max(sum(looked), LEAST_SKILL)).astype(np.float32)


def _outlined(
    fragment: Fragment, looked: Sequence[float], nm: tuple[float, float], whole: Patch
) -> Patch:
    """How many would put a voxel inside of those who saw the fragment, if all erred alike."""
    seen = [vote for vote in fragment.seen if looked[vote] > 0]
    radius = math.sqrt(fragment.medoid.area * nm[0] * nm[1] / math.pi)
    reach = max(min(REACH_NM, radius / 2), 3 * max(nm))
    grid = _grid(fragment, nm, reach)
    lines = [[loop.points for loop in fragment.seen[vote]] for vote in seen]
    distances = np.stack(
        [signed_distances(one, grid, nm=nm, reach_nm=reach).ravel() for one in lines]
    )
    skills = np.array([max(looked[vote], LEAST_SKILL) for vote in seen])
    centre = middle(distances, 1 / np.sqrt(skills), degrees=DEGREES, rounds=0)
    cell = grid.step[0] * nm[0]
    for _ in range(2):
        spreads = _spreads(distances, centre, skills, cell=cell)
        centre = middle(distances, spreads, degrees=DEGREES, rounds=ROUNDS)
    ramp = 2 * math.sqrt(3) * float(np.median(spreads))
    return _to_patch(np.clip(0.5 + centre / ramp, 0, 1), grid, whole)


def _grid(fragment: Fragment, nm: tuple[float, float], reach: float) -> Grid:
    """Cells around the piece as most of those who saw it drew it."""
    step = np.maximum(np.floor(reach / CELLS / np.array(nm)), 1).astype(int)
    boxes = [bounds([loop.runs for loop in loops]) for loops in fragment.seen.values()]
    low = np.median([first for first, _ in boxes], axis=0)
    high = np.median([np.add(first, lengths) for first, lengths in boxes], axis=0)
    around = 2 * reach / np.array(nm)
    origin = np.floor(low - around).astype(int)
    shape = np.ceil((high + around - origin) / step).astype(int)
    return Grid(_pair(origin), _pair(step), _pair(shape))


def _spreads(
    distances: npt.NDArray[np.float32],
    centre: npt.NDArray[np.float32],
    skills: npt.NDArray[np.float64],
    *,
    cell: float,
) -> npt.NDArray[np.float64]:
    """Standard deviation in nm of each line from the outline, as far as this slice can tell.

    A short outline tells little: then the skill of a volunteer counts more.
    """
    away = np.abs(centre)
    near = away <= max(cell, np.partition(away, min(15, len(away) - 1))[min(15, len(away) - 1)])
    slips = 1.4826 * np.median(np.abs(distances[:, near] - centre[near]), axis=1)
    known = np.count_nonzero(near) * cell / 2 / APART_NM
    expected = np.median(slips**2) / skills * np.median(skills)
    variance = (PRIOR * expected + known * slips**2) / (PRIOR + known) + LEAST_NM**2
    return np.asarray(np.sqrt(variance))


def _to_patch(values: npt.NDArray[np.float32], grid: Grid, whole: Patch) -> Patch:
    """The values of cells as a patch of voxels within the `whole`."""
    low = np.maximum(grid.origin, whole.origin_yx)
    high = np.minimum(
        np.add(grid.origin, np.multiply(grid.step, grid.shape)),
        np.add(whole.origin_yx, whole.values.shape),
    )
    shape = _pair(np.maximum(high - low, 0))
    offset = _pair(low - grid.origin)
    return Patch(_pair(low), to_voxels(values.reshape(grid.shape), grid.step, offset, shape))


def _raise_to(patch: Patch, whole: Patch) -> None:
    """Raises values of `whole` to those of a `patch` in it."""
    y, x = np.subtract(patch.origin_yx, whole.origin_yx)
    rows, columns = patch.values.shape
    part = whole.values[y : y + rows, x : x + columns]
    np.maximum(part, patch.values, out=part)


def _pair(values: npt.ArrayLike) -> tuple[int, int]:
    y, x = np.asarray(values)
    return int(y), int(x)

"""What a hand does to a line: points in nm in, points in nm out. Every function is one error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from volproc.stages.crowd.visible_outlines import STEP_NM, Line

Arc = npt.NDArray[np.intp]
"""Which points of a closed line a stroke visits, in its order."""

MAX_DEVIATIONS = 3.0
"""No point is off by more standard deviations: people see where they draw."""
MIN_POINTS = 3
"""A shorter stroke is not drawn at all."""
OVERLAP_SHARE = 0.3
"""Of the junctions between strokes: there they overlap instead of leaving a gap."""


def wander(count: int, *, sd_nm: float, reach_nm: float, rng: np.random.Generator) -> Line:
    """How far each of `count` points along a closed line is off, along y and x; shape (count, 2).

    White noise smoothed along the line over `reach_nm`: neighbours err together, points farther
    apart than about three times the reach independently. Standard deviation `sd_nm` per axis.
    """
    index = np.arange(count)
    apart = np.minimum(index, count - index) * STEP_NM
    kernel = np.exp(-0.5 * (apart / reach_nm) ** 2)
    kernel /= np.sqrt(np.square(kernel).sum())
    spectrum = np.fft.rfft(rng.standard_normal((2, count))) * np.fft.rfft(kernel)
    return sd_nm * bounded(np.fft.irfft(spectrum, count).T)


def bounded(off: Line) -> Line:
    """Displacements of unit spread, shortened to `MAX_DEVIATIONS` where they are longer."""
    far = np.linalg.norm(off, axis=1, keepdims=True)
    near: Line = off * np.minimum(1, MAX_DEVIATIONS / np.maximum(far, 1e-9))
    return near


def resized(line: Line, by: float) -> Line:
    """The line, larger by a share `by` around its centre."""
    centre = line.mean(axis=0)
    larger: Line = centre + (line - centre) * (1 + by)
    return larger


def cut(count: int, *, strokes: int, gap_nm: float, rng: np.random.Generator) -> list[Arc]:
    """A closed line of `count` points as `strokes` arcs, with gaps of `gap_nm` on average.

    Three junctions of ten overlap instead, by half as much. Arcs that their gaps use up are left
    out.
    """
    starts = np.sort(rng.choice(count, size=min(strokes, count), replace=False))
    ends = np.roll(starts, -1)
    ends[-1] += count
    gaps = np.minimum(rng.exponential(gap_nm, len(starts)), 4 * gap_nm)
    gaps = np.where(rng.random(len(starts)) < OVERLAP_SHARE, -gaps / 2, gaps)
    lost = np.rint(gaps / STEP_NM / 2).astype(int)
    # half of a junction's gap is lost by the arc that ends there, half by the one that begins
    arcs = [
        np.arange(start + before, end - after)
        for start, end, before, after in zip(starts, ends, lost, np.roll(lost, -1), strict=True)
    ]
    return [arc % count for arc in arcs if len(arc) >= MIN_POINTS]


def part_of(count: int, *, share: float, rng: np.random.Generator) -> list[Arc]:
    """One arc over `share` of a closed line of `count` points, beginning anywhere."""
    length = max(MIN_POINTS, round(share * count))
    return [(rng.integers(count) + np.arange(length)) % count]


def in_sight(arc: Arc, hidden: npt.NDArray[np.bool_]) -> list[Arc]:
    """The arc without the points where the image ends: as many arcs as are left."""
    seen = ~hidden[arc]
    if seen.all():
        return [arc]
    runs = np.split(arc, np.flatnonzero(np.diff(seen)) + 1)
    return [run for run in runs if not hidden[run[0]] and len(run) >= MIN_POINTS]


def mixed(
    arcs: Sequence[Arc], *, reverse: float, shuffle: float, rng: np.random.Generator
) -> list[Arc]:
    """The arcs, each turned round with probability `reverse`, all in any order with `shuffle`."""
    turned = [arc[::-1] if rng.random() < reverse else arc for arc in arcs]
    if rng.random() >= shuffle:
        return turned
    return [turned[n] for n in rng.permutation(len(turned))]


def blob(
    centre: npt.ArrayLike, radius_nm: float, *, roughness: float, rng: np.random.Generator
) -> Line:
    """A closed, roundish line around `centre` (y, x), with dents and bulges of `roughness`."""
    count = max(8, round(2 * np.pi * radius_nm / STEP_NM))
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    waves = range(2, 6)
    phases = rng.uniform(0, 2 * np.pi, len(waves))
    sizes = rng.uniform(0, 1, len(waves)) / np.array(waves)
    ripple = sum(s * np.cos(n * angle + p) for n, s, p in zip(waves, sizes, phases, strict=True))
    radius = radius_nm * (1 + roughness * ripple)
    around = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    line: Line = np.asarray(centre) + radius[:, None] * around
    return line


def scribble(extent_nm: tuple[float, float], *, rng: np.random.Generator) -> Line:
    """An open line over a part of the image that follows nothing."""
    count = int(rng.integers(40, 400))
    start = rng.uniform(0.1, 0.9, 2) * extent_nm
    course = np.cumsum(wander(count, sd_nm=STEP_NM, reach_nm=8 * STEP_NM, rng=rng), axis=0)
    return np.clip(start + course, 0, extent_nm)

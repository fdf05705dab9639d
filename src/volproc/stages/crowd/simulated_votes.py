"""What one volunteer draws on one slice: whether anything, what, and in which strokes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from volproc.drawing import Stroke, Vote
from volproc.stages.crowd.hand_errors import (
    blob,
    bounded,
    cut,
    in_sight,
    mixed,
    part_of,
    resized,
    scribble,
    wander,
)
from volproc.stages.crowd.visible_outlines import Line, Outline
from volproc.stages.crowd.volunteers import Habits, Volunteer


def draw(
    outlines: Sequence[Outline],
    who: Volunteer,
    *,
    z: int,
    shape_yx: tuple[int, int],
    nm: tuple[float, float],
) -> Vote:
    """What `who` draws on slice `z`, which shows `outlines` (the largest first), in voxels.

    It depends on the volunteer, the slice's number and what it shows only: neither on who else
    looks nor on the order. `shape_yx` are the voxels of the slice, `nm` the voxel size (y, x).
    """
    rng = np.random.default_rng((who.seed, 3, who.index, z))
    extent = (shape_yx[0] * nm[0], shape_yx[1] * nm[1])
    habits = who.habits
    if outlines:
        lines = _where_something_is(outlines, habits, extent, who.seed, rng)
    else:
        lines = _where_nothing_is(habits, extent, rng)
    return Vote(who.name, tuple(Stroke((line / nm).astype(np.float32)) for line in lines))


def _where_something_is(
    outlines: Sequence[Outline],
    habits: Habits,
    extent: tuple[float, float],
    seed: int,
    rng: np.random.Generator,
) -> Iterator[Line]:
    chances = np.cumsum([habits.absent, habits.graffiti, habits.wrong])
    happens = int(np.searchsorted(chances, rng.random(), side="right"))
    if happens == 0:
        return
    if happens == 1:
        yield from (scribble(extent, rng=rng) for _ in range(int(rng.integers(1, 4))))
        return
    if happens == 2:
        instead = mistaken(outlines[0], extent, seed=seed)
        yield from traced(instead[int(rng.integers(len(instead)))], habits, rng)
        return
    for number, outline in enumerate(outlines):
        if number == 0 or rng.random() >= habits.miss:
            yield from traced(outline, habits, rng)
    if rng.random() < habits.stray:
        yield inside(outlines[0], rng)


def _where_nothing_is(
    habits: Habits, extent: tuple[float, float], rng: np.random.Generator
) -> Iterator[Line]:
    if rng.random() < habits.phantom:
        if rng.random() < habits.graffiti:
            yield scribble(extent, rng=rng)
        else:  # something round that is no nucleus
            centre = rng.uniform(0.2, 0.8, 2) * extent
            yield blob(centre, rng.uniform(0.02, 0.1) * min(extent), roughness=0.3, rng=rng)


def traced(outline: Outline, habits: Habits, rng: np.random.Generator) -> list[Line]:
    """The strokes, in nm, of someone who follows an outline, however clumsily."""
    rounds = 2 if rng.random() < habits.double else 1
    line, hidden = np.tile(outline.points, (rounds, 1)), np.tile(outline.hidden, rounds)
    count = len(line)
    slip = wander(count, sd_nm=habits.jitter_nm, reach_nm=habits.reach_nm, rng=rng)
    offset = habits.offset_nm * bounded(rng.standard_normal((1, 2)))
    drawn = resized(line, habits.size) + slip + offset
    strokes = 1 + int(rng.poisson(habits.strokes - 1))
    if rng.random() < habits.partial:
        arcs = part_of(count, share=rng.uniform(0.4, 0.85) / rounds, rng=rng)
    else:
        arcs = cut(count, strokes=strokes, gap_nm=habits.gap_nm, rng=rng)
    seen = [piece for arc in arcs for piece in in_sight(arc, hidden)]
    return [drawn[a] for a in mixed(seen, reverse=habits.reverse, shuffle=habits.shuffle, rng=rng)]


def inside(outline: Outline, rng: np.random.Generator) -> Line:
    """A small closed line around something inside an outline, such as a nucleolus, in nm."""
    radius = np.sqrt(outline.area_nm2 / np.pi)
    away = rng.uniform(0, 0.4)
    centre = outline.points.mean(axis=0)
    place = centre + away * (outline.points[int(rng.integers(len(outline.points)))] - centre)
    return blob(place, radius * rng.uniform(0.1, 0.25), roughness=0.3, rng=rng)


def mistaken(
    outline: Outline, extent: tuple[float, float], *, seed: int
) -> tuple[Outline, Outline]:
    """What may be mistaken for the object with this outline: its whole cell, and its neighbour.

    They follow from the outline and the crowd's `seed`: all who err like this draw the same, and
    similarly on the next slice. Neither leaves the image of `extent` nm.
    """
    rng = np.random.default_rng((seed, 4))
    centre = outline.points.mean(axis=0)
    radius = float(np.sqrt(outline.area_nm2 / np.pi))
    cell = blob(centre, 1.8 * radius, roughness=0.3, rng=rng)
    angle = rng.uniform(0, 2 * np.pi)
    away = 3.2 * radius * np.array([np.sin(angle), np.cos(angle)])
    # on the side where there is more of the image
    away = np.where((centre < np.array(extent) / 2) == (away > 0), away, -away)
    neighbour = blob(centre + away, 0.9 * radius, roughness=0.2, rng=rng)
    return _framed(cell, extent), _framed(neighbour, extent)


def _framed(line: Line, extent: tuple[float, float]) -> Outline:
    within = np.clip(line, 0, extent)
    return Outline(within, (within != line).any(axis=1))

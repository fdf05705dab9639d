import numpy as np
import pytest

from volproc import AnnotateOptions
from volproc.drawing import SliceVotes, Stroke, Vote
from volproc.stages.annotate.methods.cria2021 import cria2021
from volproc.stages.crowd.simulated_votes import draw
from volproc.stages.crowd.visible_outlines import trace
from volproc.stages.crowd.volunteers import volunteers

NM = (40.0, 40.0)
SHAPE = (250, 250)


def nuclei():
    """Two pieces of an object."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    large = ((y - 120) / 70) ** 2 + ((x - 100) / 55) ** 2 < 1
    small = (y - 100) ** 2 + (x - 190) ** 2 < 22**2
    return large | small


def drawings(crowd, count=9, seed=1):
    outlines = trace(nuclei(), NM)
    people = volunteers(crowd, seed=seed, count=count)
    votes = (draw(outlines, who, z=3, shape_yx=SHAPE, nm=NM) for who in people)
    return SliceVotes(3, (0, 0), SHAPE, tuple(votes))


def join(lines):
    """The nearest two of all free ends, again and again; then each line from its start."""
    free = [(k, e) for k in range(len(lines)) for e in (0, 1)]
    place = {(k, e): lines[k][-e].astype(float) for k, e in free}
    joined = {}
    while free:
        pairs = [(a, b) for a in free for b in free if a < b]
        a, b = min(pairs, key=lambda pair: np.hypot(*(place[pair[0]] - place[pair[1]])))
        joined |= {a: b, b: a}
        free = [end for end in free if end not in (a, b)]
    loops, seen = [], set()
    for k in range(len(lines)):
        at, loop = (k, 0), []
        while at[0] not in seen:
            seen.add(at[0])
            loop.append(lines[at[0]][:: -1 if at[1] else 1])
            at = joined[at[0], 1 - at[1]]
        loops += [np.concatenate(loop).astype(float)] if loop else []
    return loops


def odd(loops):
    """Even-odd, for every voxel on its own: how many lines a ray to the right crosses."""
    crossed = np.zeros(SHAPE, dtype=int)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    for loop in loops:
        for (y0, x0), (y1, x1) in zip(loop, np.roll(loop, -1, axis=0)):
            if y0 != y1:
                meets = (np.minimum(y0, y1) <= y) & (y < np.maximum(y0, y1))
                crossed += meets & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return crossed % 2 == 1


def by_hand(votes):
    lines = [[s.points for s in vote.strokes if len(s.points)] for vote in votes.votes]
    return np.mean([odd(join(some)) for some in lines if some], axis=0)


@pytest.mark.parametrize("crowd", ["clean", "typical", "bad"])
def test_it_is_what_a_slow_independent_one_finds(crowd):
    votes = drawings(crowd)
    agreement = cria2021(votes, NM, {}, AnnotateOptions()).onto(SHAPE)
    expected = by_hand(votes)
    ours, slow = agreement >= 0.5, expected >= 0.5
    assert 2 * (ours & slow).sum() / (ours.sum() + slow.sum()) > 0.9999
    assert np.isclose(agreement, expected, atol=1e-6).mean() > 0.9999


def square(volunteer, start, stop):
    corners = [[start, start], [start, stop], [stop, stop], [stop, start]]
    return Vote(volunteer, (Stroke(np.array(corners, np.float32)),))


def test_ties_are_inside_and_who_drew_nothing_does_not_count():
    votes = (square("a", 2, 6), square("b", 4, 9), Vote("c"))
    patch = cria2021(SliceVotes(0, (0, 0), (10, 10), votes), NM, {}, AnnotateOptions())
    agreement = patch.onto((10, 10))
    assert agreement.dtype == np.float32
    assert agreement[5, 5] == 1
    assert agreement[2, 2] == agreement[8, 8] == 0.5
    assert (agreement >= 0.5).sum() == 16 + 25 - 4


def test_a_stroke_without_points_stops_nothing():
    votes = (Vote("a", (Stroke(np.zeros((0, 2), np.float32)),)), square("b", 2, 6))
    patch = cria2021(SliceVotes(0, (0, 0), (10, 10), votes), NM, {}, AnnotateOptions())
    assert patch.onto((10, 10)).sum() == 16


@pytest.mark.parametrize("votes", [(), (Vote("a"), Vote("b"))])
def test_nothing_drawn_is_nothing_inside(votes):
    patch = cria2021(SliceVotes(0, (0, 0), (10, 10), votes), NM, {}, AnnotateOptions())
    assert patch.values.size == 0
    assert not patch.onto((10, 10)).any()

"""Every error by itself: what it does to a line, and what it leaves alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.crowd.hand_errors import (
    MAX_DEVIATIONS,
    MIN_POINTS,
    blob,
    cut,
    in_sight,
    mixed,
    part_of,
    resized,
    scribble,
    wander,
)
from volproc.stages.crowd.visible_outlines import STEP_NM

seeds = st.integers(0, 2**32 - 1)
counts = st.integers(20, 2000)


def rng(seed):
    return np.random.default_rng(seed)


@given(seed=seeds, count=counts, sd=st.just(0.0) | st.floats(1e-6, 500), reach=st.floats(50, 2000))
def test_no_point_wanders_farther_than_three_deviations(seed, count, sd, reach):
    off = wander(count, sd_nm=sd, reach_nm=reach, rng=rng(seed))
    assert off.shape == (count, 2)
    assert np.linalg.norm(off, axis=1).max() <= MAX_DEVIATIONS * sd * (1 + 1e-9)


def test_wandering_has_its_spread_and_its_reach():
    many = np.stack([wander(600, sd_nm=100, reach_nm=500, rng=rng(seed)) for seed in range(400)])
    assert many.std() == pytest.approx(100, rel=0.03)
    near, far = round(100 / STEP_NM), round(3000 / STEP_NM)
    alike = (many * np.roll(many, near, axis=1)).mean() / many.var()
    apart = (many * np.roll(many, far, axis=1)).mean() / many.var()
    assert alike > 0.9
    assert abs(apart) < 0.1


def test_wandering_closes():
    """The last point is as near to the first as any two neighbours."""
    off = wander(400, sd_nm=100, reach_nm=500, rng=rng(0))
    steps = np.linalg.norm(np.diff(off, axis=0, append=off[:1]), axis=1)
    assert steps[-1] <= steps.max()
    assert steps.max() < 60


@given(by=st.floats(-0.2, 0.2))
def test_resizing_keeps_the_centre(by):
    line = blob((500.0, 700.0), 300, roughness=0.2, rng=rng(1))
    larger = resized(line, by)
    assert larger.mean(axis=0) == pytest.approx(line.mean(axis=0))
    assert np.ptp(larger, axis=0) == pytest.approx(np.ptp(line, axis=0) * (1 + by))


@given(seed=seeds, count=counts, strokes=st.integers(1, 8))
def test_without_gaps_the_arcs_hold_every_point_once(seed, count, strokes):
    arcs = cut(count, strokes=strokes, gap_nm=0, rng=rng(seed))
    lost = count - sum(map(len, arcs))
    assert lost <= strokes * (MIN_POINTS - 1)
    assert len(np.unique(np.concatenate(arcs))) == count - lost


@given(seed=seeds, strokes=st.integers(1, 6), gap=st.floats(0, 800))
def test_arcs_are_runs_of_neighbours_and_gaps_are_no_larger_than_four_times_the_mean(
    seed, strokes, gap
):
    count = 600
    arcs = cut(count, strokes=strokes, gap_nm=gap, rng=rng(seed))
    assert all((np.diff(arc) % count == 1).all() for arc in arcs)
    missing = count - len(np.unique(np.concatenate([[], *arcs])))
    assert missing <= strokes * (4 * gap / STEP_NM + 2 + MIN_POINTS)


def test_gaps_have_the_mean_that_is_asked_for():
    """Seven of ten junctions gape; the others overlap by half as much."""
    spans = [600 - sum(map(len, cut(600, strokes=1, gap_nm=400, rng=rng(n)))) for n in range(3000)]
    capped = 400 * (1 - np.exp(-4))
    assert np.mean(spans) * STEP_NM == pytest.approx(capped * (0.7 - 0.3 / 2), rel=0.1)


@given(seed=seeds, count=counts, share=st.floats(0.1, 0.95))
def test_a_part_is_one_arc_of_its_share(seed, count, share):
    (arc,) = part_of(count, share=share, rng=rng(seed))
    assert len(arc) == len(set(arc.tolist()))
    assert abs(len(arc) - share * count) <= MIN_POINTS
    assert (np.diff(arc) % count == 1).all()


@given(hidden=st.lists(st.booleans(), min_size=10, max_size=80), seed=seeds)
def test_what_is_hidden_is_not_drawn_and_the_rest_keeps_its_order(hidden, seed):
    hidden = np.array(hidden)
    arc = np.roll(np.arange(len(hidden)), rng(seed).integers(len(hidden)))
    pieces = in_sight(arc, hidden)
    drawn = [n for piece in pieces for n in piece]
    assert not hidden[drawn].any()
    assert drawn == [n for n in arc if n in set(drawn)]
    assert (~hidden).sum() - len(drawn) <= (MIN_POINTS - 1) * (len(hidden) // 2 + 1)
    assert all(np.diff(np.flatnonzero(np.isin(arc, piece))).max() == 1 for piece in pieces)


@given(seed=seeds, reverse=st.floats(0, 1), shuffle=st.floats(0, 1))
def test_mixing_changes_order_and_direction_only(seed, reverse, shuffle):
    arcs = [np.arange(10 * n, 10 * n + 5) for n in range(5)]
    out = mixed(arcs, reverse=reverse, shuffle=shuffle, rng=rng(seed))
    assert sorted(sorted(arc.tolist()) for arc in out) == [arc.tolist() for arc in arcs]
    assert all(abs(np.diff(arc)).max() == 1 for arc in out)


def test_strokes_are_reversed_and_shuffled_when_asked():
    arcs = [np.arange(10 * n, 10 * n + 5) for n in range(5)]
    same = mixed(arcs, reverse=0, shuffle=0, rng=rng(0))
    assert [arc.tolist() for arc in same] == [arc.tolist() for arc in arcs]
    turned = mixed(arcs, reverse=1, shuffle=0, rng=rng(0))
    assert [arc.tolist() for arc in turned] == [arc[::-1].tolist() for arc in arcs]
    orders = {tuple(a[0] for a in mixed(arcs, reverse=0, shuffle=1, rng=rng(n))) for n in range(9)}
    assert len(orders) > 5


@given(seed=seeds, radius=st.floats(200, 4000))
def test_a_blob_is_about_round(seed, radius):
    line = blob((100.0, 200.0), radius, roughness=0.3, rng=rng(seed))
    away = np.hypot(*(line - (100, 200)).T)
    assert away.min() > 0.5 * radius
    assert away.max() < 1.5 * radius


@given(seed=seeds)
def test_a_scribble_stays_on_the_image(seed):
    line = scribble((5000.0, 8000.0), rng=rng(seed))
    assert (line >= 0).all()
    assert (line <= (5000, 8000)).all()

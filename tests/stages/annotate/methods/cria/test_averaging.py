import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.stages.annotate.methods.cria.averaging import mean

STEP = 50.0
CIRCLE = 5000 * np.stack(
    [np.sin(np.linspace(0, 2 * np.pi, 600)), np.cos(np.linspace(0, 2 * np.pi, 600))], axis=1
)


def places(spreads, seed=0):
    """Drawings whose points are off independently, by so many nm."""
    rng = np.random.default_rng(seed)
    return CIRCLE + rng.normal(0, 1, (len(spreads), *CIRCLE.shape)) * np.reshape(
        spreads, (-1, 1, 1)
    )


def average(drawn, skills=None, quorum=0.0):
    weights = np.ones(len(drawn)) if skills is None else np.array(skills, dtype=float)
    return mean(CIRCLE, drawn, weights, step=STEP, quorum=quorum)


def off(line):
    return np.linalg.norm(line - CIRCLE, axis=1).mean()


@given(st.permutations(range(6)))
@settings(max_examples=10)
def test_the_order_of_drawings_changes_nothing(order):
    drawn = places([40, 60, 80, 100, 120, 200])
    assert np.allclose(average(drawn[order]).line, average(drawn).line, atol=1e-6)
    assert np.allclose(average(drawn[order]).spreads, average(drawn).spreads[order], atol=1e-6)


@given(st.floats(-1e4, 1e4), st.floats(0, 6.3))
@settings(max_examples=10)
def test_the_mean_moves_and_turns_with_the_drawings(by, angle):
    drawn = places([50, 50, 100])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved = average(drawn + by).line
    assert np.allclose(moved, average(drawn).line + by, atol=1e-3)
    assert off(average(drawn @ turn).line @ turn.T) == pytest.approx(
        off(average(drawn).line), rel=0.1
    )


def test_spreads_are_found_and_the_steady_count_more():
    spreads = [30, 60, 60, 120, 240]
    found = average(places(spreads))
    assert found.spreads == pytest.approx(spreads, rel=0.5)
    assert (np.diff(found.spreads[[0, 1, 3, 4]]) > 0).all()
    assert off(found.line) < 0.75 * off(places(spreads).mean(axis=0))


@pytest.mark.parametrize(("count", "expected"), [(2, 97), (3, 93), (5, 92)])
def test_spreads_of_few_are_not_too_small_since_the_line_follows_them(count, expected):
    """A line between two is nearer to both than the truth is: its own uncertainty counts too."""
    assert average(places([100] * count)).spreads.mean() == pytest.approx(expected, abs=2)


def test_far_ones_do_not_count():
    drawn = places([50] * 7)
    drawn[0, 100:200] += 2000
    away = np.linalg.norm(average(drawn).line[100:200] - CIRCLE[100:200], axis=1)
    assert away.mean() < 60


def test_skills_count_where_an_outline_tells_little():
    drawn = places([100, 100, 100])[:, :12]
    rely = mean(CIRCLE[:12], drawn, np.array([1, 1, 1e-3]), step=STEP, quorum=0).line
    both = mean(CIRCLE[:12], drawn[:2], np.ones(2), step=STEP, quorum=0).line
    assert np.linalg.norm(rely - both, axis=1).mean() < 15


def test_parts_that_too_few_know_are_left_out():
    drawn = places([50, 50, 50])
    drawn[0, :100] = drawn[1, :100] = np.nan
    drawn[2, 100:150] = np.nan
    assert len(average(drawn, quorum=1.5).line) == 500
    assert len(average(drawn, quorum=0.5).line) == 600
    drawn[2, :100] = np.nan
    assert len(average(drawn, quorum=0.5).line) == 500


@pytest.mark.parametrize(("known", "points"), [(2, 600), (3, 3)])
def test_two_points_are_no_line(known, points):
    """Then the reference is as good as any."""
    drawn = places([50, 50, 50])
    drawn[:, known:] = np.nan
    assert len(average(drawn, quorum=1.5).line) == points


def test_equal_drawings_are_their_mean():
    found = average(places([0, 0, 0]))
    assert np.allclose(found.line, CIRCLE)
    assert (found.spreads > 0).all()


def test_the_line_and_the_spreads_are_those_of_the_model():
    """What expectation maximisation ends at, point by point and drawing by drawing."""
    drawn, skills = places([30, 60, 120]), [1.0, 0.5, 0.4]
    drawn[0, :90] = drawn[2, 60:300] = np.nan
    found = average(drawn, skills)
    known = np.isfinite(drawn[..., 0])
    apart = np.where(known, np.square(np.nan_to_num(drawn) - found.line).sum(axis=2), 0)
    precision = known / np.square(found.spreads)[:, None]
    heavy = np.ones(known.shape)
    for _ in range(50):  # the line's own uncertainty depends on the weights, and they on it
        squares = apart + 2 / (heavy * precision).sum(axis=0)
        heavy = (8 + 2) / (8 + squares * precision)
    weights = (heavy * precision)[..., None]
    line = (weights * np.nan_to_num(drawn)).sum(axis=0) / weights.sum(axis=0)
    np.testing.assert_allclose(found.line, line, atol=0.5)
    slips = np.array(
        [(own * far)[there].mean() / 2 for own, far, there in zip(heavy, squares, known)]
    )
    typical = np.median(slips * skills) / skills
    independent = known.sum(axis=1) * STEP / 1500
    expected = (4 * typical + independent * slips) / (4 + independent) + 10**2
    assert found.spreads == pytest.approx(np.sqrt(expected), rel=0.003)

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc import AnnotateOptions
from volproc.drawing import SliceVotes, Stroke, Vote
from volproc.stages.annotate.methods.cria.cria import cria
from volproc.stages.annotate.quality.skills import skills, slice_errors

NM = (10.0, 10.0)
SHAPE = (200, 200)
OPTIONS = AnnotateOptions()


def circle(radius, y=100.0, x=100.0):
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    around = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return Stroke((np.array([y, x]) + radius * around).astype(np.float32))


def errors(radii, **middle):
    votes = tuple(
        Vote(f"v{n}", (circle(radius, **middle),) if radius else ())
        for n, radius in enumerate(radii)
    )
    return dict(slice_errors(SliceVotes(0, (0, 0), SHAPE, votes), NM, OPTIONS))


def test_an_error_is_about_the_distance_from_the_majority():
    found = errors([50, 50, 50, 56, 44, 0])
    assert found["v0"] == pytest.approx(0, abs=2)
    assert found["v3"] == pytest.approx(60, rel=0.1)
    assert found["v4"] == pytest.approx(60, rel=0.1)
    assert found["v5"] == pytest.approx(250, rel=0.1)  # half the radius


def rectangle(y, x, rows, columns):
    corners = np.array([[0, 0], [0, columns], [rows, columns], [rows, 0]])
    return (Stroke((corners + np.array([y, x])).astype(np.float32), closed=True),)


def square(y, x, size=10):
    return rectangle(y, x, size, size)


@pytest.mark.parametrize("at", [0, 40, 100])
def test_an_error_is_the_area_apart_over_the_longer_outline(at):
    """Squares of 10 voxels; the label's outline is 40 sides, of which pi / 4 are a length."""
    small, large = square(at + 15, 50), square(at, 40, size=40)
    drawn = {"a": small, "b": small, "up": square(at + 15, 52), "none": (), "c": small}
    drawn |= {"large": large}
    votes = tuple(Vote(name, strokes) for name, strokes in drawn.items())
    found = dict(slice_errors(SliceVotes(0, (0, 0), SHAPE, votes), NM, OPTIONS))
    around = 40 * np.pi / 4
    expected = {"up": 40 / around, "none": 100 / around, "large": (1600 - 100) / 80}
    same = dict.fromkeys("abc", 0.0)
    assert found == pytest.approx(same | {who: 10 * apart for who, apart in expected.items()})


@pytest.mark.parametrize(("rows", "columns"), [(10, 30), (30, 10)])
def test_sides_along_both_axes_are_outline(rows, columns):
    """80 sides, of which pi / 4 are a length; two columns too many and two too few."""
    label, moved = rectangle(30, 50, rows, columns), rectangle(30, 52, rows, columns)
    drawn = [label, label, label, moved, square(10, 40, size=60)]
    votes = tuple(Vote(f"v{n}", strokes) for n, strokes in enumerate(drawn))
    found = dict(slice_errors(SliceVotes(0, (0, 0), SHAPE, votes), NM, OPTIONS))
    assert found["v3"] == pytest.approx(10 * 4 * rows / (80 * np.pi / 4))


def test_who_draws_what_all_draw_is_not_off():
    assert errors([50, 50, 50]) == {"v0": 0, "v1": 0, "v2": 0}


def test_an_error_of_voxels_that_are_longer_than_wide_is_in_between():
    drawn = [*[square(9, 9)] * 3, square(9, 11), square(1, 1, size=30)]
    votes = tuple(Vote(f"v{n}", strokes) for n, strokes in enumerate(drawn))
    found = dict(slice_errors(SliceVotes(0, (0, 0), SHAPE, votes), (40.0, 10.0), OPTIONS))
    assert found["v3"] == pytest.approx(20 * 40 / (40 * np.pi / 4))


def test_errors_are_those_from_the_answer_of_cria():
    radii = [50, 50, 50, 56, 44]
    votes = tuple(Vote(f"v{n}", (circle(r),)) for n, r in enumerate(radii))
    answer = cria(SliceVotes(0, (0, 0), SHAPE, votes), NM, {}, OPTIONS)
    radius = np.sqrt((answer.values >= 0.5).sum() / np.pi)
    exact = {f"v{n}": 10 * abs(r - radius) for n, r in enumerate(radii)}
    assert errors(radii) == pytest.approx(exact, rel=0.1, abs=3)


def test_the_drawings_may_lie_anywhere():
    assert errors([53, 53, 50]) == errors([53, 53, 50], y=90, x=122)


def test_nothing_against_nothing_tells_nothing():
    assert errors([0, 0, 40]).keys() == {"v2"}
    assert errors([0, 0]) == {}


def test_an_open_line_tells_nothing():
    half = Vote("half", (Stroke(circle(80, 300, 300).points[:150]),))
    drawn = SliceVotes(0, (0, 0), (600, 600), (half, Vote("a", (circle(80, 300, 300),))))
    assert [name for name, _ in slice_errors(drawn, NM, OPTIONS)] == ["a"]


def test_tables_are_plain():
    drawn = SliceVotes(0, (0, 0), SHAPE, (Vote("a", (circle(80),)),))
    table = slice_errors(drawn, NM, OPTIONS)
    assert skills([json.loads(json.dumps(table))]) == skills([table])


tables = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 1e4)), max_size=6), max_size=9
)


@given(tables, st.randoms(use_true_random=False))
def test_skills_are_shares_and_do_not_depend_on_the_order_of_slices(slices, random):
    found = skills(slices)
    assert found.keys() == {name for table in slices for name, _ in table}
    assert all(0 <= skill <= 1 for skill in found.values())
    random.shuffle(slices)
    assert skills(slices) == pytest.approx(found)


def test_a_skill_is_the_inverse_of_the_variance():
    slices = [[("fine", 50.0), ("coarse", 100.0)]] * 500
    found = skills(slices)
    assert found["coarse"] / found["fine"] == pytest.approx(1 / 4, rel=0.02)


@pytest.mark.parametrize(
    ("slices", "expected"), [(1, 2 ** (-2 / 3)), (2, 1 / 2), (4, 2 ** (-4 / 3)), (8, 2 ** (-8 / 5))]
)
def test_two_slices_of_an_average_volunteer_are_added_to_everyones(slices, expected):
    """Twice as far off is a quarter of the skill in the end: (1/4) ** (n / (n + 2)) after n."""
    found = skills([[("fine", 50.0), ("coarse", 100.0)]] * slices)
    assert found == pytest.approx({"fine": 1.0, "coarse": expected})


def test_the_best_tenth_have_the_highest_skill_and_nobody_is_better_than_10_nm():
    table = [(f"v{n:02}", 10.0 * 2**n) for n in range(20)]
    found = skills([[*table, ("best", 1.0)]] * 1000)
    assert [name for name, skill in sorted(found.items()) if skill == 1] == ["best", "v00", "v01"]
    assert found["v03"] == pytest.approx(1 / 16, rel=0.02)


def test_one_blunder_does_not_count_and_one_slice_tells_little():
    steady = [[("a", 50.0), ("b", 50.0)]] * 20
    blunder = [[("a", 50.0), ("b", 5000.0)]]
    assert skills(steady + blunder)["b"] == pytest.approx(1, abs=0.01)
    assert skills(blunder)["b"] > skills(blunder * 20)["b"]


def test_a_volunteer_who_draws_coarsely_is_found_out():
    rng = np.random.default_rng(0)
    slices = []
    for _ in range(10):
        radii = 60 + rng.normal(0, [1, 1, 1, 6, 1])
        slices.append(list(errors(radii).items()))
    found = skills(slices)
    assert found["v3"] == min(found.values())
    assert found["v3"] < 0.3

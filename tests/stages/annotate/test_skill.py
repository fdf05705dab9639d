import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.config import AnnotateOptions
from volproc.drawing import Patch, SliceVotes, Stroke, Vote
from volproc.stages.annotate.cria import cria
from volproc.stages.annotate.skill import skills, slice_errors

NM = (10.0, 10.0)
SHAPE = (200, 200)
OPTIONS = AnnotateOptions()


def circle(radius, y=100.0, x=100.0):
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    around = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return Stroke((np.array([y, x]) + radius * around).astype(np.float32))


def errors(radii, agreement=None):
    votes = tuple(
        Vote(f"v{n}", (circle(radius),) if radius else ()) for n, radius in enumerate(radii)
    )
    drawn = SliceVotes(0, (0, 0), SHAPE, votes)
    return dict(slice_errors(drawn, agreement or cria(drawn, NM, {}, OPTIONS), NM, OPTIONS))


def test_an_error_is_about_the_distance_from_the_agreement():
    found = errors([50, 50, 50, 56, 44, 0])
    assert found["v0"] == pytest.approx(0, abs=2)
    assert found["v3"] == pytest.approx(60, rel=0.1)
    assert found["v4"] == pytest.approx(60, rel=0.1)
    assert found["v5"] == pytest.approx(250, rel=0.1)  # half the radius


def test_the_majority_serves_as_well():
    votes = tuple(Vote(f"v{n}", (circle(r),)) for n, r in enumerate([50, 50, 50, 56, 44]))
    drawn = SliceVotes(0, (0, 0), SHAPE, votes)
    found = slice_errors(drawn, None, NM, OPTIONS)
    exact = slice_errors(drawn, cria(drawn, NM, {}, OPTIONS), NM, OPTIONS)
    assert [name for name, _ in found] == [name for name, _ in exact]
    assert [nm for _, nm in found] == pytest.approx([nm for _, nm in exact], abs=2)


def test_the_patch_may_lie_anywhere():
    rows, columns = np.mgrid[:200, :200] + 0.5
    disc = ((rows - 100) ** 2 + (columns - 100) ** 2 < 50**2).astype(np.float32)
    whole = errors([53], Patch((0, 0), disc))
    part = errors([53], Patch((45, 48), disc[45:160, 48:155]))
    assert whole == part


def test_nothing_against_nothing_tells_nothing():
    empty = Patch((0, 0), np.zeros((0, 0), np.float32))
    assert errors([0, 40], empty).keys() == {"v1"}
    nobody = SliceVotes(0, (0, 0), SHAPE, (Vote("a"), Vote("b")))
    assert slice_errors(nobody, None, NM, OPTIONS) == []


def test_an_open_line_tells_nothing():
    half = Vote("half", (Stroke(circle(80, 300, 300).points[:150]),))
    drawn = SliceVotes(0, (0, 0), (600, 600), (half, Vote("a", (circle(80, 300, 300),))))
    agreement = cria(drawn, NM, {}, OPTIONS)
    assert [name for name, _ in slice_errors(drawn, agreement, NM, OPTIONS)] == ["a"]


def test_tables_are_plain():
    drawn = SliceVotes(0, (0, 0), SHAPE, (Vote("a", (circle(80),)),))
    table = slice_errors(drawn, cria(drawn, NM, {}, OPTIONS), NM, OPTIONS)
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

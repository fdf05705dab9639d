"""Who looks at a slice: the same people whatever the order, each with lasting habits."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.crowd.volunteers import CROWDS, KINDS, panel, volunteers


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_crowd_is_the_same_every_time_and_grows_at_its_end(crowd):
    people = volunteers(crowd, seed=3, count=50)
    assert people == volunteers(crowd, seed=3, count=50)
    assert people[:20] == volunteers(crowd, seed=3, count=20)
    assert people != volunteers(crowd, seed=4, count=50)
    assert len({who.name for who in people}) == 50


@pytest.mark.parametrize("crowd", CROWDS)
def test_the_kinds_have_their_shares(crowd):
    """Told apart by how often a nucleus is missed, which nothing changes in a person."""
    people = volunteers(crowd, seed=0, count=4000)
    kinds = {habits.absent: kind for kind, habits in KINDS.items()}
    found = Counter(kinds[who.habits.absent] for who in people)
    for kind, share in CROWDS[crowd].items():
        assert found[kind] / 4000 == pytest.approx(share, abs=0.025)


def test_people_of_one_kind_differ_in_skill():
    jitters = {who.habits.jitter_nm for who in volunteers("clean", seed=0, count=30)}
    assert len(jitters) == 30


@given(z=st.integers(0, 5000), few=st.integers(1, 50), more=st.integers(0, 50))
def test_a_larger_panel_holds_the_smaller_one(z, few, more):
    people = volunteers("typical", seed=1)
    small, large = panel(people, z, count=few), panel(people, z, count=few + more)
    assert large[:few] == small
    assert len(set(large)) == few + more


def test_everybody_gets_a_turn():
    people = volunteers("typical", seed=1)
    seen = Counter(who.index for z in range(200) for who in panel(people, z, count=21))
    assert set(seen) == set(range(len(people)))
    assert max(seen.values()) < 3 * 200 * 21 / len(people)


def percent(share):
    return f"{100 * share:.3g}%" if share else "0"


TABLE = {
    "share in clean / typical / bad": lambda kind, _: (
        " / ".join(f"{100 * crowd.get(kind, 0):.3g}" for crowd in CROWDS.values()) + "%"
    ),
    "slips of the hand, nm (sd)": lambda _, habits: f"{habits.jitter_nm:g}",
    "error of the whole drawing's position, nm (sd)": lambda _, habits: f"{habits.offset_nm:g}",
    "strokes per outline, gaps between them, nm": lambda _, habits: (
        f"{habits.strokes:g}, {habits.gap_nm:g}"
    ),
    "traces twice": lambda _, habits: percent(habits.double),
    "draws 40 to 85% of an outline": lambda _, habits: percent(habits.partial),
    "misses a region": lambda _, habits: percent(habits.miss),
    "outlines something inside as well": lambda _, habits: percent(habits.stray),
    "draws the whole cell or its neighbour": lambda _, habits: percent(habits.wrong),
    "graffiti": lambda _, habits: percent(habits.graffiti),
    "says nothing is there": lambda _, habits: percent(habits.absent),
    "draws where nothing is": lambda _, habits: percent(habits.phantom),
}


def test_the_table_of_habits_in_the_docs_is_that_of_the_code():
    page = (Path(__file__).parents[3] / "docs" / "crowd.md").read_text()
    rows = [f"| | {' | '.join(KINDS)} |", "|---" * (len(KINDS) + 1) + "|"]
    for what, cell in TABLE.items():
        rows.append(f"| {what} | {' | '.join(cell(*kind) for kind in KINDS.items())} |")
    assert "\n".join(rows) in page

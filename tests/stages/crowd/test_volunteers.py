"""Who looks at a slice: the same people whatever the order, each with lasting habits."""

from collections import Counter

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

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.drawing import SliceVotes, Stroke, Vote
from volproc.stages.annotate.quality.slice_quality import (
    MIN_SPACING,
    SliceQuality,
    best_and_worst,
    spread,
)


def slice_of(z, *, roi="ROI_1-2-3", votes=10, absent=0, agreement=0.9):
    return SliceQuality(roi, z, votes, absent, agreement, 1.0)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.floats(0, 1), st.booleans()),
        max_size=40,
        unique_by=lambda one: one[:2],
    ),
    st.integers(1, 4),
)
def test_the_slices_to_draw_are_apart_and_most_drew_there(rows, count):
    slices = [
        slice_of(z, roi=roi, agreement=agreement, absent=0 if drawn else 10)
        for roi, z, agreement, drawn in rows
    ]
    best, worst = best_and_worst(slices, count)
    assert not set(best) & set(worst)
    drawn = [one for one in slices if one.drawn]
    for chosen in (best, worst):
        assert len(chosen) <= count
        assert all(one in drawn for one in chosen)
        for n, one in enumerate(chosen):
            for other in chosen[:n]:
                assert one.roi != other.roi or abs(one.z - other.z) >= MIN_SPACING
    if drawn:
        assert worst[0].agreement == min(one.agreement for one in drawn)
    if best:
        others = [one.agreement for one in drawn if one not in worst]
        assert best[0].agreement == max(others)


@pytest.mark.parametrize(("apart", "shown"), [(4, [0]), (5, [0, 5])])
def test_slices_five_apart_are_no_neighbours(apart, shown):
    rows = [slice_of(z, agreement=0.5 + z / 100) for z in (0, apart)]
    _, worst = best_and_worst(rows, count=2)
    assert [one.z for one in worst] == shown


@pytest.mark.parametrize(
    ("most", "found"), [(1, "a"), (3, "adg"), (4, "aceg"), (7, "abcdefg"), (9, "abcdefg")]
)
def test_values_are_spread_evenly(most, found):
    assert spread("abcdefg", most) == found
    assert spread("", most) == ""


@pytest.mark.parametrize(("drew", "saw_nothing", "there"), [(2, 1, True), (2, 2, False)])
def test_who_looked_and_who_drew(drew, saw_nothing, there):
    line = Stroke(np.zeros((3, 2), np.float32))
    votes = [*[Vote("a", (line, line))] * drew, *[Vote("b")] * saw_nothing]
    found = SliceQuality.of(SliceVotes(7, (0, 0), (9, 9), tuple(votes), "A"))
    assert found == SliceQuality("A", 7, drew + saw_nothing, saw_nothing, None, 0.0)
    assert (found.drawn, found.there, found.replaced) == (drew, there, False)

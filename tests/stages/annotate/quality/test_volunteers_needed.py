import csv
from io import StringIO
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.annotate.quality.slice_quality import SliceQuality
from volproc.stages.annotate.quality.volunteers_needed import (
    CurvePoint,
    Subsample,
    curve_of,
    volunteers_for,
    volunteers_needed,
    volunteers_needed_csv,
)


def slice_of(z, *, roi="ROI_1-2-3", votes=10, absent=0, agreement=0.9, **more):
    return SliceQuality(roi, z, votes, absent, agreement, 1.0, **more)


def needed_of(*slices):
    return volunteers_needed(slices, min_votes=3, target_nm=50.0)


errors = st.dictionaries(
    st.integers(1, 6), st.lists(st.floats(1, 500), min_size=1, max_size=3), min_size=1
)


@given(st.lists(errors, min_size=1, max_size=8))
def test_every_point_of_the_curve_is_over_the_same_slices(slices):
    rows = [
        Subsample("a", z, number, error)
        for z, own in enumerate(slices)
        for number, draws in own.items()
        for error in draws
    ]
    curve = curve_of(rows)
    numbers = [point.volunteers for point in curve]
    assert numbers == sorted(set(numbers))
    used = [own for own in slices if set(numbers) <= set(own)]
    for point in curve:
        means = [fmean(own[point.volunteers]) for own in used]
        assert point.mean_nm == pytest.approx(fmean(means))
        assert point.slices == len(used)
        assert 0 <= point.low_nm <= point.mean_nm <= point.high_nm
    if curve:
        assert 2 * len(used) >= len(slices)


def test_bars_are_standard_errors_over_slices():
    rows = [Subsample("a", z, 5, error) for z, error in enumerate([10.0, 20.0, 30.0, 40.0])]
    (point,) = curve_of(rows)
    standard_error = (500 / 3) ** 0.5 / 2
    assert point.mean_nm == 25
    assert point.high_nm - point.mean_nm == pytest.approx(1.96 * standard_error)


def test_bars_end_at_nothing_and_one_slice_has_none():
    rows = [Subsample("a", z, 5, error) for z, error in enumerate([1.0, 1.0, 100.0])]
    (point,) = curve_of(rows)
    assert point.low_nm == 0
    assert point.high_nm == pytest.approx(34 + 1.96 * 33)
    (alone,) = curve_of(rows[2:])
    assert alone == CurvePoint(5, 100.0, 100.0, 100.0, 1)


@pytest.mark.parametrize(("have", "points"), [(2, [(3, 2), (5, 2)]), (1, [(3, 4)])])
def test_a_point_of_the_curve_needs_half_of_the_slices(have, points):
    rows = [Subsample("a", z, 3, 10.0) for z in range(4)]
    rows += [Subsample("a", z, 5, 10.0) for z in range(have)]
    assert [(point.volunteers, point.slices) for point in curve_of(rows)] == points


def curve(*points):
    return [CurvePoint(n, error, error, error, 9) for n, error in points]


@pytest.mark.parametrize(
    ("error", "needed"),
    [(200, 5), (100, 5), (80, 7), (70, 8), (60, 9), (50, 15), (35, 20), (30, 21), (29, None)],
)
def test_volunteers_for_an_error(error, needed):
    # 5: 100 nm, 9: 60 nm, then 15: 50 nm and 21: 30 nm
    assert volunteers_for(curve((5, 100), (9, 60), (15, 50), (21, 30)), error) == needed


def test_an_error_that_rises_again_counts_from_the_last_time_on():
    assert volunteers_for(curve((5, 40), (10, 60), (20, 40)), 50) == 15
    assert volunteers_for([], 50) is None


NEEDY = [  # of three volunteers at least, and outlines 50 nm apart at most
    (slice_of(0, votes=1), 2, "too few looked"),
    (slice_of(1, votes=0, agreement=None), 3, "too few looked"),
    (slice_of(2, votes=3), None, None),
    (slice_of(3, votes=9, absent=3), 3, "undecided whether there is anything"),
    (slice_of(4, votes=9, absent=6), 3, "undecided whether there is anything"),
    (slice_of(5, votes=10, absent=3), None, None),
    (slice_of(6, absent=10, agreement=0.0), None, None),
    (slice_of(7, absent=9, agreement=0.1, error_nm=900.0), None, None),
    (slice_of(8, agreement=0.59), 3, "volunteers disagree"),
    (slice_of(9, agreement=0.6), None, None),
    (slice_of(10, agreement=None), None, None),
    (slice_of(11, error_nm=100.0), 30, "outlines 100 nm apart"),
    (slice_of(12, error_nm=50.0, agreement=0.1), None, None),
    (slice_of(13, error_nm=51.0), 1, "outlines 51 nm apart"),
]


@pytest.mark.parametrize(("looked", "more", "reason"), NEEDY)
def test_slices_that_need_more_volunteers_say_why(looked, more, reason):
    expected = [(looked, more, reason)] if more else []
    assert [(one.slice, one.more, one.reason) for one in needed_of(looked)] == expected


def test_those_that_need_most_come_first():
    rows = [(3, "b", 2), (1, "b", 2), (2, "a", 2), (0, "c", 0)]
    found = needed_of(*(slice_of(z, roi=roi, votes=votes) for z, roi, votes in rows))
    assert [one.slice.z for one in found] == [0, 2, 1, 3]


def test_the_table_reads_back_and_runs_nothing():
    rows = needed_of(slice_of(3, roi="=1+1", votes=1), slice_of(4, roi="a,\rb", votes=0))
    found = list(csv.DictReader(StringIO(volunteers_needed_csv(rows), newline="")))
    assert [row["roi"] for row in found] == ["a,\rb", "'=1+1"]
    assert found[1] == {
        "roi": "'=1+1",
        "z": "3",
        "votes": "1",
        "absent": "0",
        "agreement": "0.9",
        "error_nm": "",
        "more": "2",
        "reason": "too few looked",
    }

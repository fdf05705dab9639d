import csv
from io import StringIO
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.annotate.export.export_summary import Summary
from volproc.stages.annotate.page.quality_page import Quality
from volproc.stages.annotate.quality.slice_quality import (
    MIN_SPACING,
    SliceQuality,
    best_and_worst,
    spread,
)
from volproc.stages.annotate.quality.volunteers_needed import (
    CurvePoint,
    Subsample,
    curve_of,
    volunteers_for,
    volunteers_needed_csv,
)

SUMMARY = Summary(
    rows=10,
    marks={},
    open_lines=0,
    closed_lines=0,
    absent=0,
    rejected={},
    left_out={},
    dropped_marks={},
    dropped_points=0,
    votes=10,
    slices=1,
    volunteers=5,
)


def slice_of(z, *, roi="ROI_1-2-3", votes=10, absent=0, agreement=0.9, **more):
    return SliceQuality(roi, z, votes, absent, agreement, 1.0, **more)


def quality(*slices, **more):
    return Quality("title", "cria", SUMMARY, slices, **more)


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


def test_slices_that_need_more_volunteers_say_why():
    found = quality(
        slice_of(0, votes=1),
        slice_of(1, votes=0, agreement=None),
        slice_of(2, votes=10, absent=4),
        slice_of(3, error_nm=100.0),
        slice_of(4, error_nm=49.0),
        slice_of(5, agreement=0.4),
        slice_of(6, absent=10, agreement=0.0),
        slice_of(7),
        slice_of(8, absent=9, agreement=0.1, error_nm=900.0),
        min_votes=3,
        target_nm=50.0,
    ).needed
    assert {(one.slice.z, one.more, one.reason) for one in found} == {
        (0, 2, "too few looked"),
        (1, 3, "too few looked"),
        (2, 3, "undecided whether there is anything"),
        (3, 30, "outlines 100 nm apart"),
        (5, 3, "volunteers disagree"),
    }
    assert [one.more for one in found] == sorted((one.more for one in found), reverse=True)


def test_the_table_reads_back_and_runs_nothing():
    rows = quality(slice_of(3, roi="=1+1", votes=1), slice_of(4, roi="a,\rb", votes=0)).needed
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

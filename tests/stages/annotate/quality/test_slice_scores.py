import csv
import io
import json
from dataclasses import asdict, fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from volproc.drawing import MIN_COMPONENT_UM2
from volproc.stages.annotate.page.score_tables import (
    COLUMNS,
    distance_rows,
    error_charts,
    method_rows,
    region_rows,
)
from volproc.stages.annotate.quality.slice_scores import (
    FORMULAS,
    MEANS,
    MeanScores,
    MethodDistance,
    MethodScores,
    SliceScores,
    by_method,
    by_region,
    distances,
    distances_csv,
    fragments,
    means_of,
    radius_nm,
    score_slice,
    scores_csv,
    scores_json,
)

NM = (100.0, 100.0)
"""Five voxels are a fragment that counts."""
masks = arrays(bool, (16, 20))


def squares(*corners, side=4):
    """A mask with squares of 16 voxels, which are fragments that count."""
    mask = np.zeros((40, 50), bool)
    for y, x in corners:
        mask[y : y + side, x : x + side] = True
    return mask


@given(truth=masks, answer=masks)
def test_fragments_are_counted_as_a_loop_over_all_pairs_does(truth, answer):
    def parts(mask):
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        each = (labels == number for number in range(1, count + 1))
        return [one for one in each if one.sum() * NM[0] * NM[1] >= MIN_COMPONENT_UM2 * 1e6]

    def like(a, b):
        return (a & b).sum() > 0.5 * (a | b).sum()

    real, there = parts(truth), parts(answer)
    found = sum(any(like(a, b) for b in there) for a in real)
    made_up = sum(not any(like(a, b) for a in real) for b in there)
    assert fragments(truth, answer, nm=NM) == (found, made_up, len(real))


@pytest.mark.parametrize(("columns", "found"), [(4, 0), (5, 1)])
def test_more_than_half_in_common_is_found(columns, found):
    """Of a rectangle with 8 columns: half of it is not enough."""
    truth, answer = np.zeros((2, 9, 12), bool)
    truth[2:7, 2:10] = answer[2:7, 2 : 2 + columns] = True
    assert fragments(truth, answer, nm=NM) == (found, 1 - found, 1)


@given(mask=masks)
def test_the_truth_itself_is_perfect(mask):
    scores = score_slice(mask, mask, nm=NM)
    assert scores.empty == (not mask.any())
    assert (scores.found, scores.made_up, scores.false) == (scores.fragments, 0, False)
    if mask.any():
        assert [getattr(scores, name) for name in MEANS] == [1, 1, 0, 1, 1]


def test_no_answer_is_a_radius_away():
    truth = squares((10, 10), (20, 30))
    scores = score_slice(truth, np.zeros_like(truth), nm=NM)
    assert scores.masd_nm == pytest.approx(radius_nm(truth, NM)) == pytest.approx(319.15, abs=0.01)
    assert (scores.dice, scores.nsd_100, scores.fragments, scores.found) == (0, 0, 2, 0)


def test_where_nothing_is_only_the_false_is_told():
    scores = score_slice(squares(), squares((3, 3)), nm=NM)
    assert scores == SliceScores(True, True, 0, 0, 1)
    assert score_slice(squares(), squares(), nm=NM) == SliceScores(True, False, 0, 0, 0)


def test_the_border_is_no_outline_if_told_so():
    truth, answer = squares((0, 10), side=12), squares((0, 10), side=10)
    inside = score_slice(truth, answer, nm=NM, at_border=False)
    closed = score_slice(truth, answer, nm=NM)
    assert inside.masd_nm > closed.masd_nm > 0
    assert inside.dice == closed.dice


def test_means_are_over_slices_with_something_to_find():
    two = squares((5, 5), (20, 20))
    perfect, half = score_slice(two, two, nm=NM), score_slice(two, squares((5, 5)), nm=NM)
    nothing, false = (score_slice(squares(), a, nm=NM) for a in (squares(), squares((1, 1))))
    found = means_of([perfect, half, nothing, false])
    assert (found.slices, found.empty, found.false) == (2, 2, 1)
    assert found.dice == pytest.approx((perfect.dice + half.dice) / 2)
    assert (found.found, found.made_up) == (0.75, 0)
    assert means_of([nothing]) == MeanScores(0, None, None, None, None, None, None, 0, 0, 1)


@given(masks=st.lists(st.tuples(masks, masks), max_size=4))
def test_means_never_leave_the_range_of_their_slices(masks):
    slices = [score_slice(a, b, nm=NM) for a, b in masks]
    found = asdict(means_of(slices))
    for name in MEANS:
        values = [getattr(one, name) for one in slices if not one.empty]
        if values:
            assert min(values) - 1e-9 <= found[name] <= max(values) + 1e-9


def test_every_score_has_its_formula():
    named = {field.name for field in fields(MeanScores)} - {"slices", "empty"}
    assert named == set(FORMULAS)


def scored(roi, z, method, dice, nm):
    return MethodScores(
        roi, z, method, SliceScores(False, False, 2, 1, 0, dice, dice / 2, nm, 0.5, 1.0)
    )


ROWS = [
    scored("A", 1, "cria", 0.9, 10.0),
    scored("A", 1, "em", 0.8, 30.0),
    scored("A", 2, "cria", 1.0, 0.0),
    scored("A", 2, "em", 0.9, 5.0),
    scored("=B", 7, "cria", 0.5, 90.0),
    scored("=B", 7, "em", 0.6, 80.0),
    MethodScores("=B", 8, "cria", SliceScores(True, True, 0, 0, 1)),
    MethodScores("=B", 8, "em", SliceScores(True, False, 0, 0, 0)),
]


def test_records_come_back_as_they_were():
    assert [MethodScores.read(json.loads(json.dumps(asdict(one)))) for one in ROWS] == ROWS


def test_means_of_methods_and_regions():
    methods = by_method(ROWS)
    assert list(methods) == ["cria", "em"]
    assert methods["cria"].dice == pytest.approx(0.8)
    assert methods["cria"].masd_nm == pytest.approx(100 / 3)
    assert (methods["cria"].false, methods["em"].false, methods["em"].empty) == (1, 0, 1)
    regions = by_region(ROWS)
    assert list(regions) == ["=B", "A"]
    assert regions["A"]["em"].masd_nm == pytest.approx(17.5)


def test_the_table_of_slices_reads_back_and_runs_nothing():
    rows = list(csv.DictReader(io.StringIO(scores_csv(ROWS), newline="")))
    assert [(row["roi"], row["z"], row["method"]) for row in rows][:1] == [("A", "1", "cria")]
    assert rows[4]["roi"] == "'=B"
    assert rows[0]["masd_nm"] == "10"
    assert (rows[6]["empty"], rows[6]["false"], rows[6]["dice"]) == ("1", "1", "")


def test_the_summary_names_every_formula():
    found = json.loads(scores_json(ROWS, {"truth": "t.zarr"}))
    assert found["truth"] == "t.zarr"
    assert found["formulas"] == FORMULAS
    assert found["all"]["em"]["dice"] == pytest.approx(2.3 / 3)
    assert found["regions"]["A"]["cria"]["slices"] == 2


def test_distances_are_the_same_both_ways_round():
    rows = [MethodDistance("A", z, "cria", "em", 0.9 + z / 100, float(z)) for z in (1, 3)]
    found = distances(rows)
    assert found["cria", "em"] == found["em", "cria"]
    assert found["cria", "em"].masd_nm == 2
    table = distance_rows([*rows, MethodDistance("A", 1, "cria", "rasa", 1.0, 0.0)])
    assert [row.name for row in table] == ["cria", "em", "rasa"]
    assert table[0].nm == (None, 2.0, 0.0)
    assert table[1].nm == (2.0, None, None)
    assert table[0].dice == pytest.approx((0.92 + 1) / 2)
    text = distances_csv([MethodDistance("=A", 1, "cria", "em", 0.5, 2.0)])
    assert text.splitlines() == ["roi,z,method,other,dice,masd_nm", "'=A,1,cria,em,0.5,2"]


def test_the_best_of_a_column_is_marked_where_there_is_a_choice():
    best = {
        name: [row.cells[n].best for row in method_rows(ROWS)]
        for n, (name, *_) in enumerate(COLUMNS)
    }
    assert best["dice"] == [True, False]
    assert best["masd_nm"] == [True, False]
    assert best["false"] == [False, True]
    assert best["found"] == [True, True]
    assert not any(cell.best for row in method_rows(ROWS[::2]) for cell in row.cells)
    assert [row.name for row in region_rows(ROWS, "em")] == ["=B", "A"]
    empty = method_rows([ROWS[6]])[0]
    assert [cell.text for cell in empty.cells] == ["–"] * 6 + ["0", "1"]


def test_errors_along_z_leave_gaps_where_nothing_is():
    rows = [scored("A", z, "cria", 1.0, 10.0 * z) for z in (1, 2, 5, 6)]
    (chart,) = error_charts(rows, "cria")
    assert (chart.roi, chart.worst) == ("A", "worst on slice 6: 60 nm")
    assert chart.path.count("M") == 2
    assert error_charts([ROWS[6]], "cria") == []
    assert error_charts(ROWS, "cria")[-1].apart

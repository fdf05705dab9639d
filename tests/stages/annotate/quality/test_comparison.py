import csv
import io
import json
from dataclasses import asdict

import pytest

from volproc.stages.annotate.page.score_tables import (
    COLUMNS,
    distance_rows,
    error_charts,
    method_rows,
    region_rows,
)
from volproc.stages.annotate.quality.comparison import (
    MethodDistance,
    MethodScores,
    by_method,
    by_region,
    distances,
    distances_csv,
    scores_csv,
    scores_json,
)
from volproc.stages.annotate.quality.slice_scores import FORMULAS, SliceScores


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

import json

import pytest

from volproc.errors import VolumeError
from volproc.stages.report.page_twin import FORMAT, to_json
from volproc.stages.report.runs_page import read_twin, rows_of, strips, write_runs


def twin(title, volumes, **more):
    return {
        "format": FORMAT,
        "title": title,
        "figures": {
            "objects": 7,
            "volume_um3": 50.0,
            "field_um": [5.0, 10.0, 10.0],
            "seconds": 3.0,
            "model": "nuclei-50nm",
        },
        "state": {"stages": [{"name": "label", "state": "done", "why": ""}], "failure": ""},
        "objects": {"volumes": {"quantiles": volumes}, "sphericities": None},
        "agreement": {"": {"votes": {"3": 0.8, "2": 0.1, "1": 0.1}}},
        "scores": None,
        "doubt": None,
        **more,
    }


TWINS = {
    "/runs/a/report.html": twin("a", [1, 2, 4, 8, 16]),
    "/runs/b b/report.html": twin("<script>b</script>", [2, 4, 8, 16, 32]),
    "/runs/c/report.html": twin(
        "c",
        [1, 10, 100, 1000, 10000],
        scores={
            "scores": [
                {"answer": "prediction", "dice": 0.9, "precision": 0.8, "recall": 1.0,
                 "surfaces": {"3d": {"masd_nm": 20.0}}},
                {"answer": "votes x", "dice": 0.1, "precision": 0.1, "recall": 0.1},
            ]
        },
        state={"stages": [{"name": "label", "state": "begun", "why": ""}], "failure": "disk"},
    ),
}  # fmt: skip


def test_a_row_has_what_its_run_found_and_how_far_it_drifted():
    a, b, c = rows_of(TWINS, out="/runs/all.html")
    assert (a.objects, a.share_of_field, a.agreement, a.dice) == (7, 0.1, 0.8, None)
    assert [row.drift for row in (a, b, c)] == [0.5, 1.0, 12.5]
    assert (c.dice, c.masd_nm, c.left) == (0.9, 20.0, ("label",))
    assert [row.folder for row in (a, b)] == ["a", "b b"]
    assert [row.href for row in (a, b)] == ["a/report.html", "b%20b/report.html"]


def test_strips_share_an_axis():
    (a, b, _), (low, high) = strips(rows_of(TWINS, out="/runs/all.html"))
    assert (low, high) == (1, 10000)
    assert a.middle < b.middle
    assert a.quarter == b.low
    assert strips(()) == ((), (0.0, 0.0))


def test_the_page_and_its_twin(tmp_path):
    pages = []
    for name, found in zip("abc", TWINS.values(), strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(to_json(found))
        pages.append(str(tmp_path / name / "report.html"))
    html = write_runs(pages, out=str(tmp_path / "all.html")).read_text()
    assert "<script>b" not in html
    assert "not finished: label" in html
    assert 'href="a/report.html"' in html
    assert "× 12.50" in html
    told = json.loads((tmp_path / "all.json").read_text())
    assert [one["drift"] for one in told["runs"]] == [0.5, 1.0, 12.5]


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "else"}'])
def test_what_is_no_twin_is_refused(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(VolumeError, match="is not the twin of a report; run `volproc report`"):
        read_twin(str(tmp_path / "report.json"))

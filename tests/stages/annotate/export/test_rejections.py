import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.annotate.export import rejections
from volproc.stages.annotate.export.rejections import Rejection, RejectionList

texts = st.text(st.characters(exclude_categories=["Cs"]))


def listed(found):
    return list(csv.reader(io.StringIO(found.csv().decode(), newline="")))


@given(st.lists(st.tuples(texts, texts)))
def test_nothing_that_is_listed_runs(cells):
    found = RejectionList()
    for row, (number, detail) in enumerate(cells, start=2):
        found.add(Rejection(row, number, "broken row", f"={detail}"))
    header, *rows = listed(found)
    assert header == ["row", "classification_id", "reason", "detail"]
    assert [int(row[0]) for row in rows] == list(range(2, len(cells) + 2))
    for row in rows:
        assert row[3].startswith("'=")
        assert not row[1].startswith(("=", "@", "\t"))


def test_what_options_leave_out_is_counted_and_not_listed():
    found = RejectionList()
    for reason in ("another workflow", "another version", "another region", "drawn again"):
        found.add(Rejection(2, "1", reason))
    assert [row[2] for row in listed(found)[1:]] == ["drawn again"]
    assert found.reasons.total() == 4


def test_a_list_has_an_end(monkeypatch):
    monkeypatch.setattr(rejections, "MAX_LISTED", 3)
    found = RejectionList()
    for row in range(5):
        found.add(Rejection(row, "1", "no slice", "x" * 1000))
    rows = listed(found)
    assert len(rows) == 5
    assert rows[-1] == ["and 2 more"]
    assert len(rows[1][3]) == rejections.MAX_DETAIL
    assert found.reasons == {"no slice": 5}

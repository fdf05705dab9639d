import gzip
import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stages.annotate.exports import (
    COLUMNS,
    SQUARE,
    mark_1,
    mark_2,
    read_all,
    row_of,
    subject,
    task,
    write_export,
)

from volproc import AnnotateOptions
from volproc.errors import AnnotateError, LocationError
from volproc.stages.annotate.export.rejections import Rejection
from volproc.stages.annotate.export.zooniverse import NEEDED, Classification, read_export

DEFAULT = AnnotateOptions()


@pytest.fixture
def read(tmp_path):
    """Reads rows: read(row_of(...), row_of(...), an_option=...)."""
    return lambda *rows, **options: read_all(tmp_path / "e.csv", rows, AnnotateOptions(**options))


def reasons(found):
    return [one.reason if isinstance(one, Rejection) else "" for one in found]


def test_a_row_of_each_classifier(read):
    first = row_of(11, task(mark_1()), subject_id=70, about=subject(slices=(9,)))
    second = row_of(12, task(mark_2(), mark_2([(1, 2), (3, 4.5)])), user=0, size=(640, 480))
    one, two = read(first, second)
    assert (one.row, one.number, one.subject, one.workflow) == (2, 11, "70", 5)
    assert (one.version, one.created_at) == ("2.3", "2025-01-21 16:08:41 UTC")
    assert one.metadata["Image 0"] == "ROI_1_z0009.jpg"
    assert (two.row, two.sizes) == (3, ((480.0, 640.0),))
    np.testing.assert_array_equal(one.drawn[0][0].points, np.array(SQUARE)[:, ::-1])
    np.testing.assert_array_equal(two.drawn[0][1].points, [(2, 1), (4.5, 3)])
    assert not one.absent
    assert not two.absent


def test_volunteers_are_told_apart_and_not_named(read):
    people = [
        dict(user=5, name="ann"),
        dict(user=5, name="ann renamed"),
        dict(user=0, name="not-logged-in-5"),
        dict(user=0, name="5"),
        dict(user=0, name=" ", user_ip="not-logged-in-5"),
        dict(user=0, name=" "),
        dict(user=0, name=" "),
    ]
    found = [one.volunteer for one in read(*(row_of(n, **p) for n, p in enumerate(people, 1)))]
    assert found[0] == found[1]
    assert len(set(found)) == 6
    assert found[0] == hashlib.sha256(b"volproc:user_id:5").hexdigest()[:16]


def test_nothing_that_comes_out_names_a_volunteer(read):
    secret = {"user_name": "=SECRET", "user_id": "SECRET", "user_ip": "SECRET"}
    broken = [row_of(1, **secret, **{key: "{"}) for key in NEEDED]
    assert "SECRET" not in repr(read(row_of(2, **secret), *broken))


def test_empty_answers(read):
    """[] is a vote only where the task is known to ask for drawings, and nothing was drawn."""
    rows = [
        row_of(1, task(taskType="drawing")),
        row_of(2, task()),
        row_of(3, task(taskType="multiple")),
        row_of(4, {"task": "T0", "value": None}),
        row_of(5, {"task": "T0", "value": "yes"}, {"task": "T1", "value": 0}),
        row_of(6, task(name="T1"), task(mark_2())),
        row_of(7, task(), {"task": "T0.0.0", "value": [], "markIndex": 0, "taskType": "multiple"}),
    ]
    stated, silent, *others, drawn, last = read(*rows)
    assert (stated.absent, stated.asked, stated.silent) == (True, {"T0"}, frozenset())
    assert (silent.absent, silent.asked, silent.silent) == (False, frozenset(), {"T0"})
    assert reasons(others) == ["no drawing task"] * 3
    assert (drawn.absent, drawn.asked, drawn.silent) == (False, {"T0"}, {"T1"})
    assert last.silent == {"T0"}
    assert read(row_of(2, task()), task=["T0"])[0].absent
    assert reasons(read(row_of(2, task()), task=["T1"])) == ["no drawing task"]


def test_tasks_within_tasks(read):
    combined = {"task": "T9", "value": [{"task": "T1", "value": 3}, task(mark_2())]}
    (found,) = read(row_of(1, combined))
    assert len(found.drawn[0]) == 1
    assert found.asked == {"T0"}
    nested = combined
    for _ in range(300):
        nested = {"task": "T9", "value": [nested]}
    assert reasons(read(row_of(1, nested))) == ["no drawing task"]


def test_tools_that_are_not_chosen_are_as_if_not_used(read):
    row = row_of(1, task(mark_2(tool=1), mark_2(tool=2), mark_1(tool=1)))
    (chosen,) = read(row, tool=[1])
    assert len(chosen.drawn[0]) == 2
    assert chosen.lost_marks == ("another tool",)
    (other,) = read(row, tool=[7])
    assert other.absent


def test_frames(read):
    about = subject(slices=(4, 5, 6), shown=2)
    middle = row_of(1, task(mark_2(frame=1), mark_2(frame=2)), about=about, frames=3)
    beside = row_of(2, task(mark_2(frame=0)), about=about, frames=3)
    one, two = read(middle, beside)
    assert (one.shown, list(one.drawn), one.lost_marks) == (1, [1], ("another frame",))
    assert (two.reason, two.detail) == ("another frame", "1 x another frame")
    one, two = read(middle, beside, frames="all")
    assert sorted(one.drawn) == [1, 2]
    assert (list(two.drawn), two.absent) == ([0], False)


@pytest.mark.parametrize(
    ("stated", "shown"), [("3", 2), (3, 2), ("0", 0), ("-1", 0), ("x", 0), (None, 0), ([3], 0)]
)
def test_the_frame_shown(read, stated, shown):
    about = {**subject(), "default_frame": stated}
    row = row_of(1, task(taskType="drawing"), about=about)
    assert read(row)[0].shown == shown


def test_marks_that_cannot_be_used_are_no_absent_vote(read):
    dots = task(mark_2([(1, 1)]), mark_1([]), {"tool": 0, "x": 1, "y": 2})
    (found,) = read(row_of(1, dots))
    assert found.reason == "no usable mark"
    assert found.detail == "2 x too few points, 1 x unknown tool"
    assert Counter(found.marks) == {"too few points": 2, "unknown tool": 1}
    (kept,) = read(row_of(1, task(mark_2([(1, 1)]), mark_2(), 7, None, "x")))
    assert len(kept.drawn[0]) == 1
    assert Counter(kept.lost_marks) == {"too few points": 1, "broken mark": 3}


def test_workflows_and_versions(read):
    rows = [row_of(1, workflow=w, version=v) for w, v in [(5, "4.4"), (5, "4.10"), (6, "40.1")]]
    assert reasons(read(*rows, workflow=[5])) == ["", "", "another workflow"]
    assert reasons(read(*rows, workflow_version=["4.4"])) == [""] + ["another version"] * 2
    assert reasons(read(*rows, workflow_version=["4"])) == ["", "", "another version"]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"annotations": '[{"task": "T0", "value": ['}, "broken field"),
        ({"annotations": "__import__('os').system('true')"}, "broken field"),
        ({"annotations": "[" * 100_000}, "broken field"),
        ({"annotations": "{}"}, "broken field"),
        ({"annotations": "[1, null, {}]"}, "no drawing task"),
        ({"annotations": "1" * 5000}, "broken field"),
        ({"metadata": "null"}, "broken field"),
        ({"metadata": ""}, "broken field"),
        ({"subject_data": "{}"}, "several subjects"),
        ({"subject_data": '{"1": {}, "2": {}}'}, "several subjects"),
        ({"subject_data": '{"1": null}'}, "broken field"),
        ({"classification_id": "=1+1"}, "broken field"),
        ({"classification_id": "٣"}, "broken field"),
        ({"workflow_id": ""}, "broken field"),
    ],
)
def test_broken_cells_are_rejected_alone(read, cells, reason):
    before, broken, after = read(row_of(1), row_of(2, **cells), row_of(3))
    assert (broken.reason, broken.row) == (reason, 3)
    assert (before.number, after.number) == (1, 3)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)
places = st.lists(st.integers(0, 30), min_size=1, max_size=6)


def spoiled(value, path, new):
    """`value` with something inside it, found along `path`, replaced by `new`."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = keys[path[0] % len(keys)]
    copy = value.copy()
    copy[key] = spoiled(value[key], path[1:], new)
    return copy


@settings(max_examples=300)
@given(
    column=st.sampled_from(["metadata", "annotations", "subject_data"]),
    path=places,
    new=json_values,
    frames=st.sampled_from(["shown", "all"]),
)
def test_whatever_stands_where_in_the_json(tmp_path_factory, column, path, new, frames):
    marks = task(mark_2(), mark_1(), {**mark_1(), "toolType": "polygon"}, taskType="drawing")
    row = row_of(2, marks, about=subject(slices=(1, 2, 3), shown=1), frames=3)
    row[column] = json.dumps(spoiled(json.loads(row[column]), path, new))
    rows = [row_of(1), row, row_of(3)]
    path = tmp_path_factory.mktemp("export") / "e.csv"
    before, found, after = read_all(path, rows, AnnotateOptions(frames=frames))
    assert (before.number, after.number) == (1, 3)
    assert isinstance(found, Classification | Rejection)
    assert found.row == 3


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(COLUMNS), st.text(max_size=8)))
def test_any_cells_may_be_anything(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("export") / "e.csv"
    rows = [row_of(1), {**row_of(2), **cells}, row_of(3)]
    with open(path, "w", newline="", encoding="utf-8", errors="replace") as file:
        file.write(",".join(COLUMNS) + "\n")
        for row in rows:
            file.write(",".join('"' + row[c].replace('"', '""') + '"' for c in COLUMNS) + "\n")
    before, *found, after = read_export(str(path), DEFAULT)
    assert (before.number, after.number) == (1, 3)
    assert len(found) == 1


def test_columns_may_come_in_any_order_and_number(tmp_path):
    columns = [*reversed(NEEDED), "extra", "user_name"]
    path = write_export(tmp_path / "e.csv", [row_of(9)], columns=columns)
    (found,) = read_export(path, DEFAULT)
    assert found.number == 9


def test_packed_exports_and_urls(tmp_path):
    path = write_export(tmp_path / "e.csv", [row_of(9)])
    packed = tmp_path / "e.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "e.csv").read_bytes()))
    for url in (path, f"file://{path}", str(packed)):
        assert [one.number for one in read_export(url, DEFAULT)] == [9]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9,
        b"subject_id,project_id,metadata,locations\n1,2,{},{}\n",
        "classification_id;user_name\n1;2\n".encode("utf-16"),
        b"x" * 2**24,
        b'"' * 2**24,
    ],
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "e.csv"
    path.write_bytes(content)
    with pytest.raises(AnnotateError, match="is no classification export of Zooniverse") as error:
        list(read_export(str(path), DEFAULT))
    assert "\n" not in str(error.value)


def test_without_volunteers_it_is_refused(tmp_path):
    path = write_export(tmp_path / "e.csv", [row_of(1)], columns=NEEDED)
    with pytest.raises(AnnotateError, match="lacks user_id or user_name or user_ip"):
        list(read_export(path, DEFAULT))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(AnnotateError, match=r"cannot read the export .*none.csv"):
        list(read_export(str(tmp_path / "none.csv"), DEFAULT))
    (tmp_path / "e.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(AnnotateError, match="cannot read the export"):
        list(read_export(str(tmp_path / "e.csv.gz"), DEFAULT))
    with pytest.raises(LocationError):
        list(read_export("nowhere://e.csv", DEFAULT))


@pytest.mark.real
def test_the_real_export_is_read_whole(real_data):
    url = str(real_data / "zooniverse" / "drawing-classifications.csv")
    found = list(read_export(url, AnnotateOptions(task=("T0",))))
    assert reasons(found) == [""] * 89
    assert Counter(kind for one in found for kind in one.kinds) == {
        "freehand (classifier 2)": 86,
        "polygon (classifier 2)": 8,
    }
    strokes = [stroke for one in found for own in one.drawn.values() for stroke in own]
    assert Counter(stroke.closed for stroke in strokes) == {True: 88, False: 6}
    assert sum(one.absent for one in found) == 4
    assert sum(one.lost_points for one in found) == 0
    assert not any(one.lost_marks for one in found)
    assert len({one.subject for one in found}) == 20

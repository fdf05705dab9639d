"""Rows as Zooniverse's: both classifiers' formats, read back with csv and json alone."""

import csv
import io
import json
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from volproc.drawing import Stroke, Vote
from volproc.errors import VolumeError
from volproc.stages.crowd.export_rows import COLUMNS, Export, Parts, header
from volproc.volume.access import exists
from volproc.volume.file_io import read_file

SHAPE = (7, 401, 600)
points = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 20), st.just(2)), elements=st.floats(-10, 2000, width=32)
)
votes = st.lists(
    st.builds(
        Vote,
        volunteer=st.sampled_from(["volunteer-0001", "not-logged-in-00000000000000000003"]),
        strokes=st.lists(st.builds(Stroke, points=points), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=4,
)


def export(classifier=2, scale=0.5):
    return Export("ROI_1-2-3", SHAPE, (50, 10, 10), scale, classifier, volunteers=4)


def read(text):
    return list(csv.DictReader(io.StringIO(header() + text)))


def strokes_of(row):
    """Strokes of a row as arrays of (y, x) in voxels, whichever classifier wrote it."""
    size = json.loads(row["metadata"])["subject_dimensions"]
    found = []
    for mark in json.loads(row["annotations"])[0]["value"]:
        one = size[mark["frame"]]
        ratio = SHAPE[1] / one["naturalHeight"], SHAPE[2] / one["naturalWidth"]
        if "points" in mark:
            pixels = [(p["y"], p["x"]) for p in mark["points"]]
        else:
            pixels = list(zip(mark["pathY"], mark["pathX"], strict=True))
        found.append(np.array(pixels) * ratio)
    return found


@given(votes=votes, z=st.integers(0, 6), scale=st.sampled_from([0.25, 0.5, 1.0]))
def test_both_classifiers_carry_the_same_strokes(votes, z, scale):
    one, two = (read(export(n, scale).rows(z, votes)) for n in (1, 2))
    for vote, row_1, row_2 in zip(votes, one, two, strict=True):
        assert row_1["user_name"] == row_2["user_name"] == vote.volunteer
        for stroke, a, b in zip(vote.strokes, strokes_of(row_1), strokes_of(row_2), strict=True):
            assert np.array_equal(a, b)
            # hundredths of a pixel of the smaller image
            assert np.abs(a - stroke.points).max() <= 0.0051 / scale * 1.01


def test_marks_have_the_form_of_their_classifier():
    vote = Vote("volunteer-0001", (Stroke(np.array([[10, 20], [30, 40]], np.float32)),))
    (one,), (two,) = (read(export(n, 1.0).rows(3, [vote])) for n in (1, 2))
    (mark,) = json.loads(one["annotations"])[0]["value"]
    assert mark["points"] == [{"x": 20, "y": 10}, {"x": 40, "y": 30}]
    assert mark["tool"] == 0
    assert "classifier_version" not in json.loads(one["metadata"])
    (mark,) = json.loads(two["annotations"])[0]["value"]
    assert (mark["pathX"], mark["pathY"]) == ([20, 40], [10, 30])
    assert mark["toolType"] == "freehandLine"
    assert json.loads(two["metadata"])["classifier_version"] == "2.0"


@pytest.mark.parametrize(
    ("z", "shown", "default"),
    [(0, [1, 2, 3], 1), (1, [1, 2, 3, 4], 2), (3, [2, 3, 4, 5, 6], 3), (6, [5, 6, 7], 3)],
)
def test_frames_are_named_after_their_slices_from_1_and_clipped_at_the_ends(z, shown, default):
    vote = Vote("volunteer-0001", (Stroke(np.zeros((2, 2), np.float32)),))
    (row,) = read(export().rows(z, [vote]))
    ((subject, about),) = json.loads(row["subject_data"]).items()
    assert row["subject_ids"] == subject
    names = [about[key] for key in sorted(about) if key.startswith("Image ")]
    assert names == [f"ROI_1-2-3_z{n:04}.jpg" for n in shown]
    assert about["default_frame"] == str(default)
    (mark,) = json.loads(row["annotations"])[0]["value"]
    assert names[mark["frame"]] == f"ROI_1-2-3_z{z + 1:04}.jpg"
    assert len(json.loads(row["metadata"])["subject_dimensions"]) == len(shown)
    assert about["Raw XY resolution (nm)"] == "10"
    assert about["Raw Z resolution (nm)"] == "50"


def test_sizes_of_frames_are_whole_pixels():
    assert export(scale=0.5).frame_size == (200, 300)
    assert export(scale=1.0).frame_size == (401, 600)


def test_absent_votes_are_rows_with_empty_values():
    (row,) = read(export().rows(0, [Vote("not-logged-in-00000000000000000003")]))
    assert json.loads(row["annotations"])[0]["value"] == []
    assert row["user_id"] == ""


def test_numbers_are_unique_and_in_order_of_time():
    assert len(COLUMNS) == 14
    rows = [row for z in range(7) for row in read(export().rows(z, [Vote("a")] * 4))]
    assert len({row["classification_id"] for row in rows}) == 28
    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows)
    assert set(rows[0]) == set(COLUMNS)


@pytest.mark.real
def test_keys_are_those_of_a_real_export(real_data):
    with (real_data / "zooniverse" / "drawing-classifications.csv").open(newline="") as file:
        real = next(csv.DictReader(file))
    (made,) = read(export().rows(0, [Vote("v", (Stroke(np.zeros((2, 2), np.float32)),))]))
    assert list(made) == list(real)
    (theirs,), (ours,) = (json.loads(row["annotations"]) for row in (real, made))
    assert set(ours) <= set(theirs)
    assert set(ours["value"][0]) <= set(theirs["value"][0])
    theirs, ours = (json.loads(row["metadata"]) for row in (real, made))
    assert set(ours) <= set(theirs)
    assert set(ours["subject_dimensions"][0]) == set(theirs["subject_dimensions"][0])


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    """A place on disk, and one on another file system."""
    return str(tmp_path) if request.param == "local" else f"memory://{uuid4().hex}"


def test_parts_are_joined_in_order_and_removed(folder):
    parts = Parts(f"{folder}/parts")
    for index in (2, 0, 1):
        parts.save(index, f"part {index}\n")
    parts.join(f"{folder}/whole.txt", [0, 1, 2], first="first\n")
    parts.remove([0, 1, 2])
    assert read_file(f"{folder}/whole.txt") == b"first\npart 0\npart 1\npart 2\n"
    assert not exists(f"{folder}/parts/000000.csv")


def test_a_part_that_is_missing_is_named(folder):
    parts = Parts(f"{folder}/parts")
    parts.save(0, "part 0\n")
    with pytest.raises(VolumeError, match="000001"):
        parts.join(f"{folder}/whole.txt", [0, 1], first="")

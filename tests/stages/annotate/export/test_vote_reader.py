import csv
import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stages.annotate.exports import (
    COLUMNS,
    mark_1,
    mark_2,
    row_of,
    subject,
    task,
    write_export,
)

from volproc import AnnotateOptions
from volproc.errors import AnnotateError, VolumeError
from volproc.grid.box import Box
from volproc.stages.annotate.export.subject_metadata import Manifest
from volproc.stages.annotate.export.vote_reader import (
    ENOUGH_SLICES,
    read_vote_index,
    store_votes,
    telling_blocks,
)
from volproc.stages.annotate.export.vote_store import read_votes
from volproc.stages.annotate.export.zooniverse import read_export

VOLUME = Box((0, 0, 0), (20, 100, 100))


@pytest.fixture
def gathered(tmp_path):
    """Gathers rows: what was found, all slices, and the list of what was not used."""

    def gather_rows(*rows, volume=VOLUME, manifest=None, voxel_nm=None, **options):
        url = write_export(tmp_path / "e.csv", rows)
        folder = tmp_path / "votes"
        found = store_votes(
            url,
            str(folder),
            AnnotateOptions(**options),
            volume=volume,
            manifest=manifest,
            voxel_nm=voxel_nm,
        )
        assert read_vote_index(str(folder)) == found
        slices = [one for block in found.blocks for one in read_votes(str(folder), block)]
        with open(folder / "rejected.csv", newline="") as file:
            listed = list(csv.DictReader(file))
        return found, slices, listed

    return gather_rows


def drawn(number, *, z, user=1, **more):
    return row_of(number, user=user, subject_id=z, about=subject(slices=(z,)), **more)


def test_votes_lie_in_the_blocks_of_their_slices(gathered):
    rows = [drawn(10 * z + user, z=z, user=user) for z in (9, 2, 1, 20) for user in (3, 1, 2)]
    found, slices, listed = gathered(*rows, block_slices=4)
    assert found.blocks == (0, 2, 4)
    assert [one.z for one in slices] == [0, 1, 8, 19]
    assert all(len({vote.volunteer for vote in one.votes}) == 3 for one in slices)
    assert all((one.origin_yx, one.shape_yx) == ((0, 0), (100, 100)) for one in slices)
    assert (found.summary.votes, found.summary.slices, found.summary.volunteers) == (12, 4, 3)
    assert listed == []


@settings(max_examples=20)
@given(
    order=st.permutations(range(12)),
    block=st.integers(1, 20),
    duplicates=st.sampled_from(["first", "last"]),
)
def test_order_of_rows_and_blocks_never_change_the_votes(
    order, block, duplicates, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("gather")
    rows = [drawn(n, z=1 + n % 5, user=1 + n % 2) for n in range(12)]

    def votes(rows, name, block):
        url = write_export(folder / "e.csv", rows)
        options = AnnotateOptions(duplicates=duplicates, block_slices=block)
        found = store_votes(url, f"{folder}/{name}", options, volume=VOLUME)
        slices = [s for block in found.blocks for s in read_votes(f"{folder}/{name}", block)]
        return found.summary, [(s.z, [vote.volunteer for vote in s.votes]) for s in slices]

    assert votes([rows[n] for n in order], "a", block) == votes(rows, "b", 16)
    votes(rows, "c", 16)
    for path in (folder / "b").iterdir():
        again = folder / "c" / path.name
        assert again.read_bytes() == path.read_bytes()


def test_everything_is_counted(gathered):
    bad_line = task(mark_2(), mark_2([(1, 1)]), mark_2([(5, 5), (9, 9), (9, None)]))
    rows = [
        drawn(1, z=1),
        drawn(2, z=1, user=2, annotations=json.dumps([bad_line])),
        drawn(3, z=1, user=3, annotations=json.dumps([task()])),
        drawn(4, z=1, user=4, annotations=json.dumps([task(name="T7")])),
        drawn(5, z=1, user=1, at="2026-01-01 00:00:00 UTC"),
        drawn(6, z=1, user=5, workflow=99),
        drawn(7, z=21),
        drawn(8, z=2, annotations=json.dumps([task({**mark_1(), "toolType": "polygon"})])),
        drawn(9, z=2, user=7, annotations="[{"),
        drawn(10, z=2, user=8, annotations=json.dumps([task(mark_2([]))])),
    ]
    found, slices, listed = gathered(*rows, workflow=[5])
    summary = found.summary
    assert summary.rows == 10
    assert summary.marks == {"freehand (classifier 2)": 4, "polygon (classifier 2)": 1}
    assert (summary.open_lines, summary.closed_lines, summary.absent) == (4, 1, 1)
    assert summary.rejected == {
        "broken field": 1,
        "no drawing task": 1,
        "no usable mark": 1,
        "outside the volume": 1,
    }
    assert summary.left_out == {"another workflow": 1, "drawn again": 1}
    assert summary.dropped_marks == {"too few points": 2}
    assert summary.dropped_points == 1
    assert (summary.votes, summary.slices) == (4, 2)
    assert [len(one.votes) for one in slices] == [3, 1]
    assert sum(not vote.strokes for vote in slices[0].votes) == 1
    numbers = {row["classification_id"]: row["reason"] for row in listed}
    assert numbers == {
        "5": "drawn again",
        "4": "no drawing task",
        "7": "outside the volume",
        "9": "broken field",
        "10": "no usable mark",
    }
    assert all(int(row["row"]) == int(row["classification_id"]) + 1 for row in listed)


@pytest.mark.parametrize(
    ("duplicates", "strokes"), [({}, 1), ({"duplicates": "first"}, 1), ({"duplicates": "last"}, 0)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_later_empty_answer_leaves_the_drawing(gathered, duplicates, strokes, turned):
    rows = [
        drawn(1, z=1, at="2025-01-21 16:08:41 UTC"),
        drawn(2, z=1, at="2025-01-21 16:09:00 UTC", annotations=json.dumps([task()])),
    ]
    _, (one,), listed = gathered(*(rows[::-1] if turned else rows), **duplicates)
    assert [len(vote.strokes) for vote in one.votes] == [strokes]
    assert [row["reason"] for row in listed] == ["drawn again"]


@settings(max_examples=100, deadline=None)
@given(
    broken=st.dictionaries(
        st.integers(0, 5),
        st.dictionaries(st.sampled_from(COLUMNS), st.text(max_size=6) | st.just("[[]]")),
        max_size=4,
    )
)
def test_any_broken_fields_are_counted_and_stop_nothing(broken, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gather")
    rows = [drawn(n + 1, z=n + 1, user=n + 1) for n in range(6)]
    spoiled = [{**row, **broken.get(n, {})} for n, row in enumerate(rows)]
    with open(folder / "e.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writeheader()
        writer.writerows(spoiled)
    found = store_votes(str(folder / "e.csv"), str(folder / "v"), AnnotateOptions(), volume=VOLUME)
    summary = found.summary
    assert summary.rows == 6
    assert summary.votes + sum(summary.rejected.values()) + sum(summary.left_out.values()) == 6
    assert summary.votes >= 6 - len(broken)


def test_two_regions_on_the_same_slices_stay_apart(gathered):
    manifest = Manifest(
        regions={"A": Box((2, 0, 50), (6, 40, 90)), "B": Box((2, 50, 0), (8, 90, 40))}
    )
    rows = [row_of(n, subject_id=n, about=subject(roi=roi)) for n, roi in enumerate("ABX", 1)]
    found, slices, listed = gathered(*rows, manifest=manifest)
    assert [(one.z, one.origin_yx, one.shape_yx) for one in slices] == [
        (2, (0, 50), (40, 40)),
        (2, (50, 0), (40, 40)),
    ]
    assert found.summary.slices == 2
    assert [(row["reason"], row["detail"]) for row in listed] == [
        ("unknown region", "X is not in the manifest")
    ]


def test_regions_that_nobody_placed_are_refused(gathered):
    rows = [row_of(n, subject_id=n, about=subject(roi=roi)) for n, roi in enumerate("AABB", 1)]
    with pytest.raises(AnnotateError, match="2 regions, A, B, would lie on one another"):
        gathered(*rows)
    found, _, _ = gathered(*rows, rois=["A"])
    assert found.summary.left_out == {"another region": 2, "drawn again": 1}


def test_a_volume_of_other_voxels_is_told(gathered, tmp_path):
    about = {**subject(), "Raw XY resolution (nm)": "10"}
    said = r"can be used: another voxel size \(2 rows; row 2: 10 nm along y, where"
    with pytest.raises(AnnotateError, match=said):
        gathered(row_of(1, about=about), row_of(2, about=about), voxel_nm=(50.0, 8.0, 8.0))
    assert (
        "10 nm along y, where the volume has 8 nm" in (tmp_path / "votes/rejected.csv").read_text()
    )
    with pytest.raises(VolumeError):  # it did not come to its end
        read_vote_index(str(tmp_path / "votes"))


def test_an_export_without_rows(gathered):
    with pytest.raises(AnnotateError, match="can be used: it has none"):
        gathered()


@pytest.mark.real
def test_the_real_export_is_gathered(real_data, tmp_path):
    """Its subjects have no slices: each is a region of its own, as a pattern without one says."""
    url = str(real_data / "zooniverse" / "drawing-classifications.csv")
    options = AnnotateOptions(
        subject_name="subject_id", frame_name="image_name", frame_pattern=".*", first_slice=0
    )
    sizes = {one.metadata["subject_id"]: one.sizes[0] for one in read_export(url, options)}
    regions = {
        str(name): Box((name, 0, 0), (name + 1, int(height), int(width)))
        for name, (height, width) in sizes.items()
    }
    volume = Box((0, 0, 0), (100, 1100, 1100))
    manifest = Manifest(regions=regions)
    found = store_votes(url, str(tmp_path), options, volume=volume, manifest=manifest)
    summary = found.summary
    assert (summary.rows, summary.rejected) == (89, {})
    assert summary.marks == {"freehand (classifier 2)": 86, "polygon (classifier 2)": 8}
    assert (summary.open_lines, summary.closed_lines, summary.absent) == (6, 88, 4)
    assert (summary.slices, summary.dropped_marks, summary.dropped_points) == (20, {}, 0)
    again = summary.left_out.pop("drawn again")
    assert summary.left_out == {}
    assert summary.votes == 89 - again
    slices = [one for block in found.blocks for one in read_votes(str(tmp_path), block)]
    people = Counter(len(one.votes) for one in slices)
    assert sum(number * count for number, count in people.items()) == summary.votes
    strokes = [(one, stroke) for one in slices for vote in one.votes for stroke in vote.strokes]
    for one, stroke in strokes:  # natural size is the region's: coordinates stay as they were
        assert (np.abs(stroke.points) <= 2 * np.array(one.shape_yx)).all()


@given(
    seen=st.lists(st.tuples(st.integers(0, 400), st.sampled_from("abcdef")), unique=True),
    size=st.integers(1, 16),
)
def test_telling_blocks_show_enough_of_every_volunteer(seen, size):
    votes = [(SimpleNamespace(volunteer=who), SimpleNamespace(z=z)) for z, who in seen]
    telling = telling_blocks(votes, size)
    every, shown = Counter(who for _, who in seen), Counter()
    shown.update(who for z, who in seen if z // size in telling)
    assert all(shown[who] >= min(ENOUGH_SLICES, count) for who, count in every.items())


def test_of_a_large_project_a_small_part_tells_enough():
    votes = [
        (SimpleNamespace(volunteer=f"v{(7 * z + n) % 50}"), SimpleNamespace(z=z))
        for z in range(4000)
        for n in range(10)
    ]
    assert len(telling_blocks(votes, 16)) < 40

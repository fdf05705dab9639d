import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.blocks import Tiling
from volproc.stages.label import merge_tables, object_ids
from volproc.stages.label.criteria import largest
from volproc.stages.label.merge import Group, OpenObjects, Unions
from volproc.stages.label.merge_tables import Tables
from volproc.stages.label.merge_task import Groups
from volproc.stages.label.object_ids import Numbering, ids_type, in_order
from volproc.stages.objects.statistics import COLUMNS, Statistics, no_statistics


def objects(firsts, voxels=1, values=1):
    rows = np.zeros((len(firsts), COLUMNS), dtype=np.int64)
    rows[:, 10] = firsts
    rows[:, 0] = voxels
    rows[:, 11] = values
    return Statistics(rows)


@given(
    lists=st.lists(st.lists(st.integers(0, 99), unique=True), max_size=5), piece=st.integers(1, 9)
)
def test_streams_come_together_in_order(lists, piece):
    streams = [
        [objects(sorted(one)[i : i + piece]) for i in range(0, len(one), piece)] for one in lists
    ]
    found = list(in_order([iter(stream) for stream in streams]))
    firsts = np.concatenate([[], *(part.first for part, _ in found)])
    assert firsts.tolist() == sorted(firsts)
    for n, one in enumerate(lists):
        of_one = [part.first[source == n] for part, source in found]
        assert np.concatenate([[], *of_one]).tolist() == sorted(one)


@given(
    sizes=st.lists(st.integers(1, 5), max_size=20), count=st.integers(1, 8), cut=st.integers(0, 20)
)
def test_largest_of_parts_are_the_largest_of_all(sizes, count, cut):
    everything = objects(range(len(sizes)), np.array(sizes, dtype=np.int64))
    parts = everything.take(slice(cut)), everything.take(slice(cut, None))
    found = largest(count).joined(parts[0]).joined(parts[1])
    best = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))[:count]
    assert np.flatnonzero(found.has(everything)).tolist() == sorted(best)


def test_ids_are_as_small_as_fits():
    assert [ids_type(n) for n in (0, 2**32 - 1, 2**32)] == ["uint32", "uint32", "uint64"]


@pytest.fixture
def numbered(tmp_path, monkeypatch):
    """numbered(...): a numbering of four groups, 2 x 2 in z and x, of 8 x 2 x 2 voxels each.

        z 0 to 7    group 0: ends 3 9 13 21 30    group 1: ends 2
        z 8 to 15   group 2: none ends            group 3: ends 70
        unions, by their first voxels: 66 (kept), 5 (kept), 0 (dropped), 63 (kept)

    An object of first voxel n has n + 1 voxels and the value 100 + n. Two objects are in a piece.
    """
    monkeypatch.setattr(merge_tables, "PIECE", 2)
    monkeypatch.setattr(object_ids, "PIECE", 2)
    kept = Tables(str(tmp_path), "found", "merged")
    ends = ([3, 9, 13, 21, 30], [2], [], [70])

    def of(firsts):
        return objects(firsts, np.array(firsts, dtype=int) + 1, np.array(firsts, dtype=int) + 100)

    for index, firsts in enumerate(ends):
        nothing = OpenObjects(no_statistics(), *[np.empty(0)] * 3)
        kept.save_group(index, Group(nothing, of(firsts), np.empty(0), {}, 0))
    unions = Unions(
        of([66, 5, 0, 63]),
        counts=(2, 1, 3, 0),
        member=np.array([1, 2, 3, 0, 1, 2]),  # of the open objects of all groups
        broken=np.array([0, 0, 1, 0]),
    )
    groups = Groups(Tiling((16, 2, 4), (8, 2, 2)), Tiling((2, 1, 2), (1, 1, 1)))
    return lambda **how: Numbering(kept, groups, tuple(map(len, ends)), unions, **how)


ORDER = [2, 3, 5, 9, 13, 21, 30, 63, 66, 70]
"""First voxels of all objects that are kept."""


def of_groups(one):
    """The ids that were saved: of each group's open objects and those that end in it."""
    return [one.tables.ids(n, closed=one.closed[n]).tolist() for n in range(4)]


@pytest.mark.parametrize(
    ("how", "ids"),
    [
        ({}, dict(zip(ORDER, range(1, 11), strict=True))),
        ({"most": 10}, dict(zip(ORDER, range(1, 11), strict=True))),
        ({"most": 4}, {30: 1, 63: 2, 66: 3, 70: 4}),
        ({"most": 1}, {70: 1}),
        ({"keep_ids": True}, {first: first + 100 for first in ORDER}),
    ],
)
def test_ids_follow_the_first_voxels_and_are_saved_for_every_group(numbered, how, ids):
    one = numbered(**how)
    rows = list(one.rows())
    found = {f: i for some, of in rows for f, i in zip(of.first.tolist(), some, strict=True)}
    assert list(found) == sorted(ids)
    assert found == ids
    assert (one.objects, one.too_many, one.dtype) == (len(ids), 10 - len(ids), "uint32")
    firsts = [[5, 0, 3, 9, 13, 21, 30], [63, 2], [66, 5, 0], [70]]
    assert of_groups(one) == [[0, *(ids.get(n, 0) for n in some)] for some in firsts]
    assert {some.dtype for some, _ in rows} == {np.dtype("uint32")}


def test_ids_lie_in_files_like_the_objects(numbered, tmp_path):
    """Five objects in pieces of two: three files of ids, as of objects; none where none ends."""
    for _ in numbered().rows():
        pass
    names = {path.name for path in tmp_path.iterdir()}
    for kind in ("ids", "closed"):
        numbers = {name for name in names if f".{kind}-" in name and "open" not in name}
        assert numbers == {f"group-{n}.{kind}-{piece}" for n, piece in
                           [(0, 0), (0, 1), (0, 2), (1, 0), (3, 0)]}  # fmt: skip
    first = numbered().tables
    assert [len(piece) for piece in first.closed_objects(0, count=5)] == [2, 2, 1]


def test_values_that_need_64_bits_are_kept(numbered):
    """As they are, and unsigned; that of a dropped object does not count."""
    one = numbered(keep_ids=True)
    one.unions.objects.value[2] = -1
    assert numbered(keep_ids=True).dtype == "uint32"
    one.unions.objects.value[0] = 2**40
    assert one.dtype == "uint64"
    assert numbered().dtype == "uint32"
    assert [i for ids, of in one.rows() for i in ids[of.first == 66].tolist()] == [2**40]


@pytest.mark.parametrize("unions_in_a_file", [1, 3, 100])
def test_unions_come_back_from_disk(numbered, monkeypatch, unions_in_a_file):
    monkeypatch.setattr(merge_tables, "UNIONS", unions_in_a_file)
    one = numbered()
    one.tables.save_unions(one.unions)
    found = one.tables.unions(len(one.groups.grid))
    assert np.array_equal(found.objects.rows, one.unions.objects.rows)
    assert found.counts == one.unions.counts
    assert np.array_equal(found.member, one.unions.member)
    assert np.array_equal(found.broken, one.unions.broken)


def test_no_union_comes_back_as_none(tmp_path):
    tables = Tables(str(tmp_path), "found", "merged")
    nothing = Unions(no_statistics(), (0, 0), np.empty(0, dtype=np.int64), np.empty(0, np.intp))
    tables.save_unions(nothing)
    assert (len(tables.unions(2).objects), tables.unions(2).counts) == (0, (0, 0))


def test_nothing_found_is_no_row(tmp_path):
    nothing = Unions(no_statistics(), (0,), np.empty(0, dtype=np.int64), np.empty(0))
    groups = Groups(Tiling((2, 2, 2), (2, 2, 2)), Tiling((1, 1, 1), (1, 1, 1)))
    one = Numbering(Tables(str(tmp_path), "found", "merged"), groups, (0,), nothing)
    assert (list(one.rows()), one.objects, one.too_many) == ([], 0, 0)
    assert one.tables.ids(0, closed=0).tolist() == [0]

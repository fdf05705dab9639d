import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import AnnotateError
from volproc.grid.box import Box
from volproc.stages.annotate.export.vote_selection import (
    ClassificationRecord,
    StoredDrawing,
    drop_misplaced,
    drop_other_regions,
    drop_unclear,
    one_vote_each,
)

BOX = Box((0, 0, 0), (9, 9, 9))


def piece(z=0, *, region="A", box=BOX, shown=True, assumed=False):
    return StoredDrawing(region, box, z, shown, assumed, 0, 0)


def said(row, *pieces, who="ann", subject="s", at="2025", silent=(), workflow=1):
    tasks = frozenset(silent)
    return ClassificationRecord(
        row, 100 + row, at, who, subject, workflow, tasks, pieces or (piece(),)
    )


crowds = st.lists(
    st.builds(
        lambda who, subject, at, zs, shown: (who, subject, at, zs, shown),
        st.sampled_from("ab"),
        st.sampled_from("st"),
        st.sampled_from(["2024", "2025", ""]),
        st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True),
        st.booleans(),
    ),
    max_size=12,
).map(
    lambda rows: [
        said(n, *(piece(z, shown=shown) for z in zs), who=who, subject=subject, at=at)
        for n, (who, subject, at, zs, shown) in enumerate(rows)
    ]
)


@given(crowd=crowds, duplicates=st.sampled_from(["first", "last"]), seed=st.randoms())
def test_one_vote_of_a_person_on_a_slice(crowd, duplicates, seed):
    votes, rejected = one_vote_each(crowd, duplicates=duplicates)
    where = [(one.volunteer, own.z) for one, own in votes]
    assert len(set(where)) == len(where)
    used, lost = {one.row for one, _ in votes}, [one.row for one in rejected]
    assert used.isdisjoint(lost)
    assert used | set(lost) == {one.row for one in crowd}
    assert len(set(lost)) == len(lost)
    shuffled = [*crowd]
    seed.shuffle(shuffled)
    again, lost_again = one_vote_each(shuffled, duplicates=duplicates)
    assert {(a.row, b.z) for a, b in again} == {(a.row, b.z) for a, b in votes}
    assert lost_again == rejected


@given(crowd=crowds, duplicates=st.sampled_from(["first", "last"]))
def test_the_first_or_last_of_a_subject_counts(crowd, duplicates):
    votes, _ = one_vote_each(crowd, duplicates=duplicates)
    pick = max if duplicates == "last" else min
    for one, _ in votes:
        same = [o for o in crowd if (o.volunteer, o.subject) == (one.volunteer, one.subject)]
        assert one.order == pick(o.order for o in same)


def test_a_frame_that_was_shown_comes_before_one_that_was_not():
    shown = said(1, piece(4), subject="s", at="2024")
    beside = said(2, piece(3), piece(4, shown=False), subject="t", at="2025")
    votes, rejected = one_vote_each([shown, beside], duplicates="last")
    assert {own.z: one.row for one, own in votes} == {3: 2, 4: 1}
    assert rejected == []
    votes, rejected = one_vote_each([shown, said(3, piece(4), subject="t")], duplicates="last")
    assert [one.row for one, _ in votes] == [3]
    assert [(one.row, one.reason) for one in rejected] == [(1, "drawn again")]
    assert rejected[0].detail == "classification 103 of that person counts"


def test_silence_counts_where_others_drew():
    rows = [said(1), said(2, silent=["T0"]), said(3, silent=["T0"], workflow=2)]
    kept, rejected = drop_unclear(rows, drawing_tasks={(1, "T0"), (2, "T1")})
    assert [one.row for one in kept] == [1, 2]
    assert [(one.row, one.reason) for one in rejected] == [(3, "no drawing task")]


def test_most_rows_say_where_a_region_lies():
    odd = Box((1, 0, 0), (9, 9, 9))
    rows = [said(1, piece(box=odd)), said(2), said(3), said(4, piece(region="B", box=odd))]
    kept, rejected = drop_misplaced(rows)
    assert [one.row for one in kept] == [2, 3, 4]
    assert [(one.row, one.reason) for one in rejected] == [(1, "unknown region")]


def test_regions_of_unknown_place_must_not_lie_on_one_another():
    many = [said(n, piece(region="A", assumed=True)) for n in range(20)]
    stray = said(99, piece(region="B", assumed=True))
    known = said(98, piece(region="C"))
    kept, rejected = drop_other_regions([stray, *many, known])
    assert kept == [*many, known]
    assert [(one.row, one.reason) for one in rejected] == [(99, "unknown region")]
    with pytest.raises(AnnotateError, match=r"2 regions, A, B, would lie on one another; .*rois"):
        drop_other_regions([*many, *[stray] * 5])
    assert drop_other_regions([known, said(1, piece(region="D"))])[1] == []


@pytest.mark.parametrize(
    ("count", "named"), [(5, "A, B, C, D, E, would"), (7, "A, B, C, D, E and 2 more, would")]
)
def test_five_regions_are_named(count, named):
    rows = [said(n, piece(region="ABCDEFG"[n], assumed=True)) for n in range(count)]
    with pytest.raises(AnnotateError, match=f"{count} regions, {named}"):
        drop_other_regions(rows)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc.drawing import SliceVotes, Stroke, Vote
from volproc.errors import AnnotateError, VolumeError
from volproc.stages.annotate.export.vote_store import (
    pack_strokes,
    read_votes,
    unpack_strokes,
    write_votes,
)

points = arrays(np.float32, st.tuples(st.integers(0, 5), st.just(2)))
strokes = st.lists(st.builds(Stroke, points, st.booleans()), max_size=4).map(tuple)
votes = st.lists(st.builds(Vote, st.text("0123abcdef", max_size=16), strokes), max_size=3)
numbers = st.integers(0, 10**6)
pairs = st.tuples(numbers, numbers)
slices = st.lists(st.builds(SliceVotes, numbers, pairs, pairs, votes.map(tuple)), max_size=3)


def assert_same_strokes(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one.points, other.points)
        assert one.points.dtype == np.float32
        assert one.closed == other.closed


@given(strokes)
def test_strokes_survive_packing(given_strokes):
    assert_same_strokes(unpack_strokes(pack_strokes(given_strokes)), given_strokes)


@given(slices)
def test_votes_survive_the_disk_in_the_same_bytes(tmp_path_factory, given_slices):
    folder = tmp_path_factory.mktemp("votes")
    for block in (3, 4):
        write_votes(str(folder), block, given_slices)
    found = read_votes(str(folder), 3)
    assert [(s.z, s.origin_yx, s.shape_yx) for s in found] == [
        (s.z, s.origin_yx, s.shape_yx) for s in given_slices
    ]
    for one, other in zip(found, given_slices):
        assert [vote.volunteer for vote in one.votes] == [vote.volunteer for vote in other.votes]
        for vote, expected in zip(one.votes, other.votes):
            assert_same_strokes(vote.strokes, expected.strokes)
    first, second = (folder / f"votes-{block:06}.npz" for block in (3, 4))
    assert first.read_bytes() == second.read_bytes()


def test_files_that_are_missing_or_damaged(tmp_path):
    with pytest.raises(VolumeError):
        read_votes(str(tmp_path), 1)
    write_votes(str(tmp_path), 1, [])
    path = tmp_path / "votes-000001.npz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(AnnotateError, match=r"votes-000001.npz is damaged .*makes it again"):
        read_votes(str(tmp_path), 1)

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.label.filter import largest
from volproc.stages.label.numbering import ids_type, in_order
from volproc.stages.objects.statistics import COLUMNS, Statistics


def objects(firsts, voxels=1):
    rows = np.zeros((len(firsts), COLUMNS), dtype=np.int64)
    rows[:, 10] = firsts
    rows[:, 0] = voxels
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

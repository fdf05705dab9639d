import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.box import Box, each, whole_box

number = st.integers(-20, 20)
triples = st.tuples(number, number, number)
lengths = st.tuples(*[st.integers(1, 20)] * 3)


@st.composite
def boxes(draw):
    start = draw(triples)
    return Box(start, each(lambda a, n: a + n, start, draw(lengths)))


@given(boxes(), lengths)
def test_growing_adds_on_both_sides(box, by):
    assert box.grow(by).shape == each(lambda n, b: n + 2 * b, box.shape, by)
    assert box.grow(by).contains(box)


@given(boxes(), boxes())
def test_clipping_gives_the_voxels_in_both(a, b):
    both = a.clip(b)
    inside = [max(0, min(p, q) - max(s, t)) for s, t, p, q in zip(a.start, b.start, a.stop, b.stop)]
    assert both.shape == tuple(inside) or both.size == 0 == min(inside)
    assert both == a.clip(b).clip(b)


@given(boxes(), triples)
def test_shift_there_and_back(box, by):
    assert box.shift(by).shift(each(lambda v: -v, by)) == box
    assert box.within(box.start) == whole_box(box.shape)


def test_alignment_allows_a_short_last_unit():
    whole = whole_box((10, 10, 10))
    assert Box((4, 0, 8), (10, 4, 10)).aligned_to((4, 4, 4), whole=whole)
    assert not Box((4, 0, 8), (9, 4, 10)).aligned_to((4, 4, 4), whole=whole)
    assert not Box((2, 0, 8), (10, 4, 10)).aligned_to((4, 4, 4), whole=whole)


def test_a_box_reads_well_and_counts():
    box = Box((0, 1, 2), (4, 5, 6))
    assert str(box) == "z 0:4, y 1:5, x 2:6"
    assert box.size == 64
    assert box.slices == (slice(0, 4), slice(1, 5), slice(2, 6))


def test_an_empty_box_has_no_voxels():
    assert Box((0, 0, 0), (1, 0, 1)).size == 0
    assert Box((5, 0, 0), (1, 1, 1)).shape == (0, 1, 1)


def test_frozen():
    with pytest.raises(AttributeError):
        whole_box((1, 1, 1)).start = (1, 1, 1)

"""Sources seen differently: any box of a view is that box of the whole."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import IngestError
from volproc.grid.box import Box, whole_box
from volproc.stages.ingest.formats.views import ByPalette, Inverted, Nibbles, WithoutNaN, turned
from volproc.stages.ingest.voxel_source import Calibration, Source


@dataclass(frozen=True, kw_only=True)
class Array(Source):
    values: np.ndarray

    def read(self, box):
        return self.values[box.slices]


def array(values, **more):
    values = np.asarray(values)
    stated = Calibration((50, 8, 9), (1, 2, 3))
    return Array(
        shape=values.shape, dtype=str(values.dtype), identity=(("a", 1, ""),), stated=stated,
        by_rows=True, kind="labels", note="noted", filled=(1,), values=values, **more,
    )  # fmt: skip


def whole(source):
    return source.read(whole_box(source.shape))


def test_a_view_states_what_is_inside():
    view = WithoutNaN.of(array(np.zeros((2, 3, 4), "f4")), value=1)
    assert (view.shape, view.dtype, view.stated.centre) == ((2, 3, 4), "float32", (1, 2, 3))
    assert (view.identity, view.by_rows, view.kind) == ((("a", 1, ""),), True, "labels")
    assert (view.note, view.filled) == ("noted", (1,))


@given(st.data(), st.integers(1, 6))
def test_half_bytes_of_any_box(data, columns):
    values = np.random.default_rng(columns).integers(0, 16, (2, 3, columns), dtype=np.uint8)
    padded = np.pad(values, ((0, 0), (0, 0), (0, columns % 2)))
    view = Nibbles.of(array(padded[..., ::2] | padded[..., 1::2] << 4), shape=values.shape)
    corners = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in values.shape]
    box = Box(tuple(a for a, _ in corners), tuple(b for _, b in corners))
    assert np.array_equal(view.read(box), values[box.slices])


def test_axes_are_turned_and_those_in_order_left_alone():
    source = array(np.arange(24).reshape(2, 3, 4))
    assert turned(source, (0, 1, 2)) is source
    view = turned(source, (2, 0, 1))
    assert (view.shape, view.by_rows) == ((4, 2, 3), False)
    box = Box((1, 0, 1), (3, 2, 3))
    assert np.array_equal(view.read(box), source.values.transpose(2, 0, 1)[box.slices])


def test_nan_gets_a_value_that_the_type_can_hold():
    view = WithoutNaN.of(array(np.array([[[np.nan, 2, -np.inf]]], "f2")), value=-7)
    assert whole(view).tolist() == [[[-7, 2, -np.inf]]]
    assert whole(view).dtype == np.float16
    WithoutNaN.of(array(np.zeros((1, 1, 1), "f2")), value=65504)
    for beyond in (65505, -65505):
        with pytest.raises(IngestError, match="is beyond float16"):
            WithoutNaN.of(array(np.zeros((1, 1, 1), "f2")), value=beyond)


def test_black_and_white_change_places():
    four_bits = Inverted.of(array(np.array([[[0, 3, 15]]], np.uint8)), white=15)
    assert whole(four_bits).tolist() == [[[15, 12, 0]]]
    signed = Inverted.of(array(np.array([[[-128, 0, 127]]], np.int8)), white=None)
    assert whole(signed).tolist() == [[[127, -1, -128]]]
    assert (whole(four_bits).dtype, whole(signed).dtype) == ("uint8", "int8")


def test_a_palette_s_greys_are_looked_up():
    view = ByPalette.of(
        array(np.array([[[2, 0, 1]]], np.uint8)), greys=(7, 300, 9), dtype="uint16", url="a"
    )
    assert whole(view).tolist() == [[[9, 7, 300]]]
    assert whole(view).dtype == np.uint16

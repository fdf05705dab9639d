from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import ConfigError
from volproc.grid.box import Box, whole_box
from volproc.stages.inference.layout import lay_out
from volproc.stages.inference.tiling import (
    Layout,
    along,
    back,
    oriented,
)

shapes = st.tuples(*[st.integers(1, 60)] * 3)


@st.composite
def layouts(draw):
    out = draw(st.integers(1, 4))
    stride = draw(st.sampled_from([1, 4, 8]))
    return lay_out(
        draw(shapes),
        halo=stride * draw(st.integers(0, 5)),
        stride=stride,
        slices_in=out + 2 * draw(st.integers(0, 2)),
        slices_out=out,
        tile=draw(st.none() | st.tuples(*[st.integers(1, 40)] * 3)),
    )


@given(layout=layouts(), axis=st.sampled_from("zyx"))
def test_the_passes_answer_every_voxel_once(layout, axis):
    seen = np.zeros(layout.shape, dtype=int)
    for one in layout.tiles(whole_box(layout.shape), axis):
        seen[one.output.clip(whole_box(layout.shape)).slices] += 1
    assert (seen == 1).all()


@given(layout=layouts(), axis=st.sampled_from("zyx"), data=st.data())
def test_a_block_has_the_passes_of_the_whole(layout, axis, data):
    """The law behind equal results for every block size: a pass never depends on the block."""
    start = tuple(data.draw(st.integers(0, n - 1)) for n in layout.shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, layout.shape))
    core = Box(start, stop)
    mine = set(layout.tiles(core, axis))
    whole = set(layout.tiles(whole_box(layout.shape), axis))
    assert mine == {one for one in whole if one.output.clip(core).size}
    starts = [one.window.start for one in mine]
    stops = [one.window.stop for one in mine]
    assert layout.window(core, axis) == Box(tuple(np.min(starts, 0)), tuple(np.max(stops, 0)))


@given(layout=layouts(), axis=st.sampled_from("zyx"))
def test_windows_have_the_halo_unless_the_mirrored_volume_ends(layout, axis):
    for one in layout.tiles(whole_box(layout.shape), axis):
        _, *sides = along(axis, (0, 1, 2))
        for n in sides:
            first, last = -layout.border, layout.shape[n] + layout.border
            assert one.window.start[n] <= max(first, one.output.start[n] - layout.halo)
            assert one.window.stop[n] >= min(last, one.output.stop[n] + layout.halo)
            assert one.window.start[n] % layout.stride == 0
            assert one.window.stop[n] % layout.stride == 0


@pytest.fixture
def layout():
    """10 x 30 x 50 voxels, tiles of 16 x 16 x 24, halo 8, 4 mirrored; 4 planes of 10 answered."""
    return Layout(
        shape=(10, 30, 50), tile=(16, 16, 24), halo=8, border=4, stride=4, slices_in=10,
        slices_out=4,
    )  # fmt: skip


def test_spans_of_a_side_and_of_the_viewing_axis(layout):
    """Windows end where the mirrored volume does: at -4, and at 34 and 54 rounded up to 4."""
    core = Box((2, 0, 30), (9, 30, 49))
    assert layout.margin == 3
    assert layout.spans(core, 1, in_plane=True) == [((-4, 24), (0, 16)), ((8, 36), (16, 32))]
    assert layout.spans(core, 2, in_plane=True) == [((16, 56), (24, 48)), ((40, 56), (48, 56))]
    assert layout.spans(core, 0, in_plane=False) == [
        ((-3, 7), (0, 4)), ((1, 11), (4, 8)), ((5, 15), (8, 12)),
    ]  # fmt: skip


def test_tiles_that_were_moved_answer_from_the_mirrored_border_on(layout):
    """Planes do not move with them; the first tile begins before the volume, at -12."""
    core, moved = Box((0, 0, 0), (10, 30, 50)), replace(layout, offset=(4, 4, 12))
    assert moved.spans(core, 1, in_plane=True) == [
        ((-4, 12), (-4, 4)), ((-4, 28), (4, 20)), ((12, 36), (20, 36)),
    ]  # fmt: skip
    assert moved.spans(core, 2, in_plane=True)[0] == ((-4, 20), (-4, 12))
    assert moved.spans(core, 0, in_plane=False) == layout.spans(core, 0, in_plane=False)


def test_the_window_of_several_axes_holds_that_of_each(layout):
    """Along z three planes beyond 0 to 12, along y and x the mirrored 4 beyond 0 and 10, to 16."""
    core = Box((0, 0, 0), (10, 16, 24))
    assert layout.window(core, "z") == Box((-3, -4, -4), (15, 24, 32))
    assert layout.window(core, "zyx") == Box((-4, -4, -4), (16, 24, 32))


def test_what_is_answered_lies_within_the_window(layout):
    one = next(layout.tiles(Box((4, 16, 24), (5, 17, 25)), "x"))
    assert (one.window, one.output) == (
        Box((-4, 8, 21), (16, 36, 31)), Box((0, 16, 24), (16, 32, 28)),
    )  # fmt: skip
    assert one.requested == (slice(4, 20), slice(8, 24))


def test_a_layout_of_given_tiles():
    """Rounded up to the stride, no longer than the volume so rounded; one stride is mirrored."""
    how = {"halo": 8, "stride": 4, "slices_in": 3, "slices_out": 1}
    one = lay_out((10, 30, 50), **how, tile=(16, 17, 24), most=24)
    assert one == Layout((10, 30, 50), (12, 20, 24), 8, 4, 4, 3, 1)
    assert max(lay_out((10, 30, 50), **how, most=24).tile) == 24
    with pytest.raises(ConfigError, match=r"tile = \[16, 25, 24\]: .* takes no more than 24"):
        lay_out((10, 30, 50), **how, tile=(16, 25, 24), most=24)


@given(axis=st.sampled_from("zyx"), triple=st.tuples(*[st.integers()] * 3))
def test_there_and_back_is_the_identity(axis, triple):
    assert back(axis, along(axis, triple)) == triple
    assert along(axis, triple)[0] == triple["zyx".index(axis)]


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_a_view_shows_the_planes_of_its_axis(axis):
    values = torch.arange(24).reshape(2, 3, 4)
    view = oriented(values, axis)
    assert view.shape == along(axis, (2, 3, 4))
    assert np.array_equal(view[1], np.take(values.numpy(), 1, axis="zyx".index(axis)))
    view[0, 0, 0] = 99
    assert values[0, 0, 0] == 99

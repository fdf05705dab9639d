import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.box import Box, whole_box
from volproc.stages.predict.orientation import along
from volproc.stages.predict.tiling import lay_out

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
    for one in layout.passes(whole_box(layout.shape), axis):
        seen[one.answer.clip(whole_box(layout.shape)).slices] += 1
    assert (seen == 1).all()


@given(layout=layouts(), axis=st.sampled_from("zyx"), data=st.data())
def test_a_block_has_the_passes_of_the_whole(layout, axis, data):
    """The law behind equal results for every block size: a pass never depends on the block."""
    start = tuple(data.draw(st.integers(0, n - 1)) for n in layout.shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, layout.shape))
    core = Box(start, stop)
    mine = set(layout.passes(core, axis))
    whole = set(layout.passes(whole_box(layout.shape), axis))
    assert mine == {one for one in whole if one.answer.clip(core).size}
    window = layout.window(core, axis)
    assert all(window.contains(one.window) for one in mine)


@given(layout=layouts(), axis=st.sampled_from("zyx"))
def test_windows_have_the_halo_unless_the_mirrored_volume_ends(layout, axis):
    for one in layout.passes(whole_box(layout.shape), axis):
        _, *sides = along(axis, (0, 1, 2))
        for n in sides:
            first, last = -layout.border, layout.shape[n] + layout.border
            assert one.window.start[n] <= max(first, one.answer.start[n] - layout.halo)
            assert one.window.stop[n] >= min(last, one.answer.stop[n] + layout.halo)
            assert one.window.start[n] % layout.stride == 0
            assert one.window.stop[n] % layout.stride == 0

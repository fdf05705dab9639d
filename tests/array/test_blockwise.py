"""Regions of a dask array as parts of its chunks: the same voxels, and only what is needed."""

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.array.blockwise import Blocks, image_of, whole
from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box

VALUES = np.arange(7 * 9 * 8, dtype=np.uint16).reshape(7, 9, 8)


def spans(n):
    return (
        st.tuples(st.integers(0, n - 1), st.integers(1, n))
        .map(sorted)
        .filter(lambda s: s[0] < s[1])
    )


@given(z=spans(7), y=spans(9), x=spans(8))
def test_parts_make_the_box(z, y, x):
    array = da.from_array(VALUES, chunks=((3, 4), (2, 2, 5), (8,)))
    box = Box((z[0], y[0], x[0]), (z[1], y[1], x[1]))
    layer = Blocks("copy")
    layer.tasks["copy", 0, 0, 0] = (whole, layer.parts(array, box))
    found = layer.result(Tiling(box.shape, box.shape), "uint16")
    assert np.array_equal(found.compute(scheduler="sync"), VALUES[box.slices])
    assert len(layer.tasks) <= 1 + 2 * 3


def test_other_chunks_are_never_computed():
    computed = []

    def noted(block, block_id=None):
        computed.append(block_id)
        return block

    array = da.from_array(VALUES, chunks=(3, 3, 8)).map_blocks(
        noted, dtype="uint16", meta=VALUES[:0]
    )
    layer = Blocks("copy")
    layer.tasks["copy", 0, 0, 0] = (whole, layer.parts(array, Box((0, 4, 0), (2, 6, 8))))
    result = layer.result(Tiling((2, 2, 8), (2, 2, 8)), "uint16")
    with dask.config.set(scheduler="sync"):
        result.compute()
    assert set(computed) == {(0, 1, 0)}


def test_whole_chunks_add_no_task():
    array = da.from_array(VALUES, chunks=(3, 9, 8))
    layer = Blocks("copy")
    assert layer.parts(array, Box((3, 0, 0), (6, 9, 8))) == [[[(array.name, 1, 0, 0)]]]
    assert layer.tasks == {}


def test_what_is_no_array_of_three_axes_is_refused(tmp_path):
    with pytest.raises(VolumeError, match="expected a path or an array of z, y and x"):
        image_of(da.zeros((4, 4)), (1, 1, 1))
    with pytest.raises(VolumeError, match="states no voxel size; give voxel_nm"):
        image_of(da.zeros((4, 4, 4)), None)

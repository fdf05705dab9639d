import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import new_volume
from volproc.volume.pyramid import coarsen, source_box

steps = st.tuples(*[st.integers(1, 2)] * 3)
shapes = st.tuples(*[st.integers(1, 7)] * 3)


def groups(values, step):
    """Every output voxel's input voxels, by brute force."""
    dz, dy, dx = step
    shape = [-(-n // s) for n, s in zip(values.shape, step)]
    for z, y, x in np.ndindex(*shape):
        yield (z, y, x), values[z * dz : (z + 1) * dz, y * dy : (y + 1) * dy, x * dx : (x + 1) * dx]


@given(shape=shapes, step=steps, seed=st.integers(0, 99))
def test_images_are_averaged_and_rounded_half_up(shape, step, seed):
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")
    out = coarsen(values, step, kind="image")
    for place, group in groups(values, step):
        assert out[place] == np.floor(group.mean() + 0.5)


@given(shape=shapes, step=steps, seed=st.integers(0, 99))
def test_floats_are_averaged(shape, step, seed):
    values = np.random.default_rng(seed).random(shape, dtype="float32")
    out = coarsen(values, step, kind="image")
    for place, group in groups(values, step):
        assert out[place] == pytest.approx(group.mean(), rel=1e-5)


@given(shape=shapes, step=steps, seed=st.integers(0, 99))
def test_labels_are_never_mixed(shape, step, seed):
    values = np.random.default_rng(seed).integers(0, 4, shape).astype("uint32") * 2**31
    out = coarsen(values, step, kind="labels")
    for place, group in groups(values, step):
        flat = group.ravel().tolist()
        assert out[place] == max(dict.fromkeys(flat), key=flat.count)


def test_channels_are_coarsened_one_by_one():
    values = np.stack([np.full((4, 4, 4), n, "uint8") for n in (1, 2, 3)])
    assert [c.max() for c in coarsen(values, (2, 2, 2), kind="image")] == [1, 2, 3]


def test_a_block_reads_what_lies_under_it():
    info = new_volume("a", shape=(9, 700, 700), voxel_nm=VoxelNm((50, 10, 10)), dtype="uint8")
    finer, coarser = info.levels[:2]
    assert coarser.shape == (9, 350, 350)
    box = source_box(Box((0, 100, 349), (9, 200, 350)), finer=finer, coarser=coarser)
    assert box == Box((0, 200, 698), (9, 400, 700))

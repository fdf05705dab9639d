import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, each, whole_box
from volproc.stages.check.level_voxels import Windows, outside
from volproc.volume.pyramid import coarsen

sizes = st.tuples(*[st.integers(1, 23)] * 3)
steps = st.tuples(*[st.integers(1, 2)] * 3)


def wrong_in(coarse, fine, core, *, kind="image"):
    """Places of `coarse` that are wrong, gone through in blocks of `core` finer voxels."""
    windows = Windows(fine.shape, coarse.shape)
    seen = np.zeros(coarse.shape, dtype=int)
    wrong = np.zeros(coarse.shape, dtype=bool)
    for block in Tiling(fine.shape, core, windows.halo):
        box = windows.under(block.core)
        if box.size:
            seen[box.slices] += 1
            wrong[box.slices] = outside(
                coarse[box.slices],
                fine[block.read.slices],
                windows=windows,
                box=box,
                origin=block.read.start,
                kind=kind,
            )
    assert (seen <= 1).all()
    return wrong


@given(shape=sizes, step=steps, seed=st.integers(0, 9))
def test_means_and_modes_of_halves_come_from_the_finer_voxels(shape, step, seed):
    fine = np.random.default_rng(seed).integers(0, 5, shape).astype("uint8")
    for kind in ("image", "labels"):
        coarse = coarsen(fine, step, kind=kind)
        assert not wrong_in(coarse, fine, (8, 8, 8), kind=kind).any()


@given(shape=sizes, step=steps, seed=st.integers(0, 9))
def test_so_do_those_that_leave_an_odd_end_out(shape, step, seed):
    fine = np.random.default_rng(seed).integers(0, 5, shape).astype("float32")
    kept = each(lambda n, s: max(1, n // s) * s if n >= s else n, shape, step)
    coarse = coarsen(fine[whole_box(kept).slices], step, kind="image")
    assert not wrong_in(coarse, fine, (23, 23, 23)).any()


@given(factor=st.floats(1, 3.9), seed=st.integers(0, 9))
def test_so_do_the_nearest_ones_at_any_factor(factor, seed):
    fine = np.random.default_rng(seed).integers(0, 50, (3, 4, 60)).astype("uint16")
    size = max(1, int(60 / factor))
    places = ((np.arange(size) + 0.5) * 60 / size).astype(int)
    coarse = fine[:, :, places]
    assert not wrong_in(coarse, fine, (3, 4, 60), kind="labels").any()


def test_other_values_do_not():
    fine = np.full((8, 8, 8), 7, dtype="uint8")
    coarse = np.full((4, 4, 4), 7, dtype="uint8")
    coarse[1, 2, 3] = 9
    for kind in ("image", "labels"):
        assert np.argwhere(wrong_in(coarse, fine, (8, 8, 8), kind=kind)).tolist() == [[1, 2, 3]]


def test_a_shift_by_a_few_voxels_is_wrong():
    fine = np.zeros((4, 4, 40), dtype="uint8")
    fine[..., 20:] = 100
    coarse = coarsen(fine, (1, 1, 2), kind="image")
    assert not wrong_in(coarse, fine, (4, 4, 40)).any()
    assert wrong_in(np.roll(coarse, 3, axis=2), fine, (4, 4, 40)).any()


def test_numbers_that_are_none_are_left_to_others():
    fine = np.full((2, 2, 2), np.nan, dtype="float32")
    assert not wrong_in(np.zeros((1, 1, 1), "float32"), fine, (2, 2, 2)).any()


@given(n=st.integers(1, 200), m=st.integers(1, 200))
def test_windows_stay_inside_and_hold_what_they_cover(n, m):
    if m > n:
        return
    windows = Windows((1, 1, n), (1, 1, m))
    first, end = windows.along(2, 0, m)
    assert (first >= 0).all()
    assert (end <= n).all()
    covered = np.arange(m) * n / m
    assert (first <= covered).all()
    assert (end >= np.minimum(n, covered + n / m - 1e-6)).all()
    assert windows.under(whole_box((1, 1, n))) == Box((0, 0, 0), (1, 1, m))

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box
from volproc.grid.scale import nearest, parse_voxel_nm
from volproc.volume.metadata import new_volume
from volproc.volume.sampling import (
    Sampling,
    box_at,
    overlap,
    require_same_corner,
    sampling_to,
)

SIZES = st.tuples(*[st.integers(1, 9)] * 3)


@given(
    shape=SIZES,
    wanted=SIZES,
    core=SIZES,
    factor=st.tuples(*[st.sampled_from([0.2, 0.5, 0.8, 1.0, 1.25, 2.0, 3.3])] * 3),
    offset=st.tuples(*[st.sampled_from([-2.5, 0.0, 0.5, 3.0])] * 3),
)
def test_blocks_give_what_the_whole_array_gives(shape, wanted, core, factor, offset):
    values = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint8)
    sampling = Sampling(shape, factor, offset)
    for sample, of_these in ((sampling.sample, most), (sampling.sample_mean, mean)):
        expected = by_hand(values, wanted, sampling, of_these)
        for block in Tiling(wanted, core):
            source = values[sampling.source(block.core).slices]
            found = sample(source, block.core)
            np.testing.assert_array_equal(found, expected[block.core.slices])


def by_hand(values, wanted, sampling, of_these):
    """Voxel by voxel: what the voxels nearest to each centre are together."""
    axes = zip(wanted, sampling.shape, sampling.factor, sampling.offset, strict=True)
    sides = [nearest(0, n, size_in=m, factor=f, offset=o) for n, m, f, o in axes]
    found = np.empty(wanted, values.dtype)
    for at in np.ndindex(*wanted):
        near = [(low[i], high[i]) for (low, high), i in zip(sides, at, strict=True)]
        found[at] = of_these([int(values[one]) for one in product(*near)])
    return found


def most(near):
    others = [label for label in near if label]
    return min(others, key=lambda n: (-others.count(n), n)) if 2 * len(others) >= len(near) else 0


def mean(near):
    return round(sum(near) / len(near))


FACTORS = [1.0, 1.25, 1.5, 2.0, 3.0, 3.2, 4.0, 5.0, 6.0, 2 / 3, 0.5]


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("along", FACTORS)
def test_what_is_symmetrical_stays_so(axis, along):
    """Along each axis, of labels, masks, levels and grey values; whatever the other factors."""
    size = 4 * int(60 * along) // 4
    rng = np.random.default_rng(1)
    lines = np.moveaxis(rng.integers(0, 4, (size, 4, 5)).astype(np.uint8), 0, axis)
    values = np.minimum(lines, np.flip(lines, axis))
    factor = tuple(along if a == axis else f for a, f in enumerate((2.0, 1.0, 2.0)))
    sampling = Sampling(values.shape, factor)
    wanted = tuple(round(n / f) for n, f in zip(values.shape, factor, strict=True))
    if abs(wanted[axis] * along - size) > 1e-9:
        pytest.skip("the grid's end is not the volume's")
    whole = Box((0, 0, 0), wanted)
    given = values[sampling.source(whole).slices]
    for sample in (sampling.sample, sampling.sample_mean, sampling.sample_reached):
        found = sample(given, whole)
        np.testing.assert_array_equal(found, np.flip(found, axis))
    inside = sampling.sample(given > 1, whole)
    np.testing.assert_array_equal(inside, np.flip(inside, axis))
    # levels and masks of them agree
    np.testing.assert_array_equal(inside, sampling.sample_reached(given, whole) > 1)


def test_odd_factors_take_the_voxel_in_the_middle():
    values = np.arange(9 * 15 * 5).reshape(9, 15, 5)
    sampling = Sampling(values.shape, (3.0, 5.0, 1.0))
    assert not sampling.has_ties
    whole = Box((0, 0, 0), (3, 3, 5))
    found = sampling.sample(values[sampling.source(whole).slices], whole)
    np.testing.assert_array_equal(found, values[1::3, 2::5])
    assert Sampling(values.shape, (3.0, 5.0, 2.0)).has_ties


def test_channels_are_kept():
    values = np.arange(2 * 2 * 2 * 2).reshape(2, 2, 2, 2)
    box = Tiling((2, 4, 2), (2, 4, 2))[0].core
    found = Sampling((2, 2, 2), (1.0, 0.5, 1.0)).sample(values, box)
    np.testing.assert_array_equal(found, values.repeat(2, axis=2))


def volume(shape, voxel_nm, corner_nm=None):
    return new_volume(
        "v.zarr",
        shape=shape,
        voxel_nm=parse_voxel_nm(voxel_nm),
        corner_nm=corner_nm,
        dtype="uint8",
    )


def test_grids_of_one_space():
    coarse = volume((518, 1638, 1638), (50, 50, 50))
    fine = volume((518, 8192, 8192), (50, 10, 10))
    assert sampling_to(coarse, fine).factor == (1.0, 0.2, 0.2)
    assert sampling_to(fine, coarse).factor == (1.0, 5.0, 5.0)


def test_grids_of_different_spaces_are_refused():
    with pytest.raises(VolumeError, match=r"500 nm long along z, .* is 600 nm"):
        sampling_to(volume((10, 20, 20), (50, 10, 10)), volume((12, 20, 20), (50, 10, 10)))


HERE = volume((10, 40, 40), (50, 10, 10), (500, 100, 100))


@pytest.mark.parametrize(
    ("shape", "nm", "corner", "voxels", "offset"),
    [
        ((10, 40, 40), (50, 10, 10), (500, 100, 100), (10, 40, 40), (0, 0, 0)),
        ((10, 20, 20), (50, 10, 10), (500, 150, 200), (10, 20, 20), (0, 5, 10)),
        ((3, 40, 40), (50, 10, 10), (700, 100, 100), (3, 40, 40), (4, 0, 0)),
        # a crop at the first voxel, of volumes that say where they lie
        ((10, 20, 20), (50, 10, 10), (500, 100, 100), (10, 20, 20), (0, 0, 0)),
        # half in, half out
        ((10, 40, 40), (50, 10, 10), (500, 300, -100), (10, 20, 20), (0, 20, -20)),
        # half a voxel: the centre of the last one lies on the border, which is outside
        ((10, 40, 40), (50, 10, 10), (500, 105, 100), (10, 39, 40), (0, 0.5, 0)),
        ((10, 40, 40), (50, 10, 10), (500, 95, 100), (10, 40, 40), (0, -0.5, 0)),
        # larger voxels, whose last one reaches beyond by less than half
        ((5, 10, 7), (100, 20, 30), (500, 200, 300), (5, 10, 7), (0, 10, 20)),
        ((5, 10, 9), (100, 20, 30), (500, 200, 300), (5, 10, 7), (0, 10, 20)),
        # smaller ones
        ((20, 80, 80), (25, 5, 5), (500, 100, 300), (20, 80, 40), (0, 0, 20)),
    ],
)
def test_volumes_meet_where_their_metadata_put_them(shape, nm, corner, voxels, offset):
    sampling, both = overlap(HERE, volume(shape, nm, corner))
    assert both.shape == voxels
    assert sampling.offset == offset


def shifted(info, by):
    return volume(info.shape, info.voxel_nm, tuple(np.add(info.corner_nm, by)))


@given(
    here=st.tuples(*[st.sampled_from([-1e6, -35.5, 0.0, 12.25, 3e5])] * 3),
    by=st.tuples(*[st.integers(-12, 12)] * 3),
    nm=st.sampled_from([(50, 10, 10), (8.3, 4.15, 4.15), (0.1, 0.3, 0.7)]),
)
def test_whole_voxels_of_shift_are_indices(here, by, nm):
    values = np.arange(6 * 7 * 8).reshape(6, 7, 8)
    info = volume(values.shape, nm, here)
    other = shifted(info, np.multiply(by, nm))
    inside = [slice(max(0, b), max(0, min(n, n + b))) for b, n in zip(by, values.shape)]
    if not values[tuple(inside)].size:
        with pytest.raises(VolumeError, match="they meet nowhere"):
            overlap(info, other)
        return
    sampling, both = overlap(info, other)
    found = sampling.sample(values[sampling.source(both).slices], both)
    np.testing.assert_array_equal(found, values[tuple(inside)])


@pytest.mark.parametrize("nm", [(50, 10, 10), (25, 4, 4), (100, 30, 30)])
@pytest.mark.parametrize("corner", [(1e6, 1e6, 1e6), (1000, 100, 100), (500, 500, 100)])
def test_volumes_that_do_not_overlap_are_refused(nm, corner):
    said = r"lies at z 500 to 1000, y 100 to 500, .* nm, .*: they meet nowhere; correct the trans"
    with pytest.raises(VolumeError, match=said):
        overlap(HERE, volume((10, 40, 40), nm, corner))


def test_volumes_that_say_no_position_share_the_first_voxel_whatever_its_size():
    fine, coarse = volume((10, 40, 40), (50, 10, 10)), volume((10, 10, 10), (50, 40, 40))
    assert fine.corner_nm != coarse.corner_nm
    assert sampling_to(coarse, fine) == Sampling((10, 10, 10), (1.0, 0.25, 0.25))
    require_same_corner(coarse, fine)


def test_what_is_not_covered_is_refused_where_all_is_needed():
    inside = volume((10, 20, 20), (50, 10, 10), (500, 150, 150))
    assert sampling_to(HERE, inside).offset == (0, 5, 5)
    with pytest.raises(VolumeError, match=r"of which it covers a part only; crop the second"):
        sampling_to(inside, HERE)
    with pytest.raises(VolumeError, match=r"need the same first voxel"):
        require_same_corner(HERE, inside)


@pytest.mark.parametrize(
    ("corner", "start"),
    [
        ((100.0, 40.0, 0.0), (2, 1, 0)),
        ((-25.0, -40.0, 4000.0), (-1, -1, 100)),  # half a voxel before the grid: its first centre
        ((24.9, 20.0, 21.0), (0, 0, 1)),
        ((25.4, 20.3, 20.3), (0, 0, 0)),  # writers round
    ],
)
def test_voxels_under_a_volume_of_such_voxels(corner, start):
    box = box_at(corner, (3, 4, 5), origin_nm=(0.0, 0.0, 0.0), voxel_nm=(50.0, 40.0, 40.0))
    assert box == Box(start, tuple(a + n for a, n in zip(start, (3, 4, 5), strict=True)))


def test_a_part_that_volproc_cut_out_may_begin_where_the_whole_begins():
    """Of another volume that does the same nobody knows whether its voxel size is wrong."""
    whole, crop = volume((10, 40, 40), (50, 10, 10)), volume((4, 10, 20), (50, 10, 10))
    with pytest.raises(VolumeError, match="need the same field of view"):
        sampling_to(whole, crop)
    part = crop.with_provenance(part=True)
    assert sampling_to(whole, part).offset == (0, 0, 0)
    sampling, both = overlap(part, whole)
    assert both == part.box
    assert sampling.offset == (0, 0, 0)

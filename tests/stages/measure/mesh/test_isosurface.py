import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.stages.measure.shapes import (
    area_nm2,
    ellipsoid,
    is_closed,
    volume_nm3,
    whole_mesh,
    whole_surface,
)

from volproc.grid.box import Box
from volproc.stages.measure.mesh.isosurface import extract, points

CUBE = (50.0, 50.0, 50.0)
FLAT = (50.0, 10.0, 10.0)
small = arrays(bool, st.tuples(*[st.integers(1, 6)] * 3))


@settings(max_examples=60)
@given(mask=small, smooth=st.sampled_from([0.0, 30.0, 100.0]))
def test_every_edge_has_two_triangles(mask, smooth):
    mesh = whole_mesh(mask, CUBE, smooth_nm=smooth)
    assert is_closed(mesh)
    assert (len(mesh.triangles) > 0) == mask.any()
    assert not mask.any() or volume_nm3(mesh) > 0


@settings(max_examples=30)
@given(mask=small)
def test_vertices_lie_between_a_voxel_inside_and_one_outside(mask):
    surface = whole_surface(mask, CUBE)
    padded = np.pad(mask, 1)
    place = points(surface, shape=mask.shape)
    lower = place // 256 + 1
    upper = -(-place // 256) + 1
    assert (np.abs(upper - lower).sum(axis=1) == 1).all()
    assert (padded[tuple(lower.T)] != padded[tuple(upper.T)]).all()


def expected_share(mask, field, lower, axis):
    """The rule in plain words: between both voxels as the field says, but half of what is thin."""
    upper = lower + np.eye(3, dtype=int)[axis]
    low = mask[tuple(lower)]
    inner, outer = (lower, upper) if low else (upper, lower)

    def beyond(voxel, step, at_the_end):
        there = voxel + step
        held = ((there >= 0) & (there < mask.shape)).all()
        return mask[tuple(there)] if held else at_the_end

    within = max(field[tuple(inner)], np.float32(0.501))
    without = min(field[tuple(outer)], np.float32(0.499))
    share = (within - np.float32(0.5)) / (within - without)
    if not beyond(inner, inner - outer, at_the_end=True):
        share = max(share, np.float32(0.5))
    if beyond(outer, outer - inner, at_the_end=False):
        share = min(share, np.float32(0.5))
    parts = min(max(int(share * 256 + np.float32(0.5)), 8), 248)
    return parts if low else 256 - parts


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), shape=st.tuples(*[st.integers(2, 5)] * 3))
def test_every_vertex_is_where_the_field_and_the_thin_parts_put_it(seed, shape):
    rng = np.random.default_rng(seed)
    mask, field = rng.random(shape) < 0.5, rng.random(shape, dtype=np.float32)
    whole = Box((0, 0, 0), shape)
    surface = extract(mask, field, window=whole, origin=(0, 0, 0), shape=shape)
    voxels, axes = np.divmod(surface.codes, 3)
    lower = np.stack(np.unravel_index(voxels, [n + 1 for n in shape]), axis=1) - 1
    rows = zip(lower, axes, surface.shares, strict=True)
    assert [expected_share(mask, field, one, axis) for one, axis, _ in rows] == [*surface.shares]


@pytest.mark.parametrize(
    ("axes", "voxel_nm"),
    [
        ((250, 250, 250), CUBE),
        ((500, 500, 500), CUBE),
        ((1000, 1000, 1000), CUBE),
        ((250, 250, 250), FLAT),
        ((500, 500, 500), FLAT),
        ((500, 1000, 1400), FLAT),
        ((350, 700, 1000), (50.0, 40.0, 40.0)),
    ],
)
def test_ball_and_ellipsoid_keep_area_and_volume(axes, voxel_nm):
    body = ellipsoid(axes, voxel_nm)
    mesh = whole_mesh(body.mask, voxel_nm)
    assert volume_nm3(mesh) == pytest.approx(body.volume_nm3, rel=0.01)
    assert area_nm2(mesh) == pytest.approx(body.area_nm2, rel=0.03)


def test_without_smoothing_steps_add_area():
    body = ellipsoid((500, 500, 500), FLAT)
    assert area_nm2(whole_mesh(body.mask, FLAT, smooth_nm=0)) > 1.2 * body.area_nm2


def test_what_is_one_voxel_thin_stays():
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[4] = True
    sheet = whole_mesh(mask, CUBE)
    assert volume_nm3(sheet) == pytest.approx(81 * 50**3, rel=0.15)  # its rim is rounded
    mask[4, :, :4] = mask[4, :, 5:] = False
    mask[4, 1:] = False
    one = whole_mesh(mask, CUBE)
    assert mask.sum() == 1
    assert volume_nm3(one) > 0


def test_crosswise_voxels_are_joined():
    mask = np.zeros((3, 4, 4), dtype=bool)
    mask[1, 1, 1] = mask[1, 2, 2] = True
    mesh = whole_mesh(mask, CUBE)
    characteristic = len(mesh.vertices) - len(mesh.triangles) // 2  # V - E + F
    assert characteristic == 2


def test_border_closes_or_stays_open():
    mask = np.ones((8, 8, 8), dtype=bool)
    assert volume_nm3(whole_mesh(mask, CUBE)) == pytest.approx(mask.size * 50**3, rel=0.05)
    assert len(whole_mesh(mask, CUBE, closed=False).triangles) == 0
    mask[4:] = False
    half = whole_mesh(mask, CUBE, closed=False)
    assert not is_closed(half)
    assert np.ptp(half.vertices[:, 0]) < 1
    assert area_nm2(half) == pytest.approx((7 * 50) ** 2, rel=0.01)

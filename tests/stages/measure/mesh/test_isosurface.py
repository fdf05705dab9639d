import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.stages.measure.shapes import ellipsoid, whole_mesh, whole_surface

from volproc.stages.measure.mesh.isosurface import points

CUBE = (50.0, 50.0, 50.0)
FLAT = (50.0, 10.0, 10.0)
small = arrays(bool, st.tuples(*[st.integers(1, 6)] * 3))


@settings(max_examples=60)
@given(mask=small, smooth=st.sampled_from([0.0, 30.0, 100.0]))
def test_every_edge_has_two_triangles(mask, smooth):
    mesh = whole_mesh(mask, CUBE, smooth_nm=smooth)
    assert mesh.is_closed
    assert (len(mesh.triangles) > 0) == mask.any()
    assert not mask.any() or mesh.volume_nm3 > 0


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
    assert mesh.volume_nm3 == pytest.approx(body.volume_nm3, rel=0.01)
    assert mesh.area_nm2 == pytest.approx(body.area_nm2, rel=0.03)


def test_without_smoothing_steps_add_area():
    body = ellipsoid((500, 500, 500), FLAT)
    assert whole_mesh(body.mask, FLAT, smooth_nm=0).area_nm2 > 1.2 * body.area_nm2


def test_what_is_one_voxel_thin_stays():
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[4] = True
    sheet = whole_mesh(mask, CUBE)
    assert sheet.volume_nm3 == pytest.approx(81 * 50**3, rel=0.15)  # its rim is rounded
    mask[4, :, :4] = mask[4, :, 5:] = False
    mask[4, 1:] = False
    one = whole_mesh(mask, CUBE)
    assert mask.sum() == 1
    assert one.volume_nm3 > 0


def test_crosswise_voxels_are_joined():
    mask = np.zeros((3, 4, 4), dtype=bool)
    mask[1, 1, 1] = mask[1, 2, 2] = True
    mesh = whole_mesh(mask, CUBE)
    characteristic = len(mesh.vertices) - len(mesh.triangles) // 2  # V - E + F
    assert characteristic == 2


def test_border_closes_or_stays_open():
    mask = np.ones((8, 8, 8), dtype=bool)
    assert whole_mesh(mask, CUBE).volume_nm3 == pytest.approx(mask.size * 50**3, rel=0.05)
    assert len(whole_mesh(mask, CUBE, closed=False).triangles) == 0
    mask[4:] = False
    half = whole_mesh(mask, CUBE, closed=False)
    assert not half.is_closed
    assert np.ptp(half.vertices[:, 0]) < 1
    assert half.area_nm2 == pytest.approx((7 * 50) ** 2, rel=0.01)

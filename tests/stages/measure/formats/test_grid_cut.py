import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.stages.measure.shapes import area_nm2, is_closed, volume_nm3, whole_mesh

from volproc.stages.measure.formats.grid_cut import cut_at_grid, cut_at_plane

CUBE = (50.0, 50.0, 50.0)
masks = arrays(bool, (4, 4, 4))


@settings(max_examples=40)
@given(mask=masks, axis=st.integers(0, 2), place=st.sampled_from([25.0, 60.0, 75.0, 100.0, 500.0]))
def test_triangles_end_at_the_plane_and_the_body_is_the_same(mask, axis, place):
    mesh = whole_mesh(mask, CUBE, smooth_nm=0)
    cut = cut_at_plane(mesh, axis, place)
    sides = np.sign(cut.vertices[:, axis] - place)[cut.triangles]
    assert not ((sides.min(axis=1) < 0) & (sides.max(axis=1) > 0)).any()
    assert is_closed(cut)
    np.testing.assert_allclose(area_nm2(cut), area_nm2(mesh))
    np.testing.assert_allclose(volume_nm3(cut), volume_nm3(mesh))


@settings(max_examples=20)
@given(mask=masks)
def test_grid(mask):
    mesh = whole_mesh(mask, CUBE)
    origin, cell = np.array([-25.0, -1, -10]), np.array([40.0, 77, 60])
    cut = cut_at_grid(mesh, origin=origin, cell=cell, counts=(8, 4, 5))
    assert is_closed(cut)
    place = (cut.vertices - origin) / cell
    low = np.floor(place + 1e-9)[cut.triangles].min(axis=1)
    high = np.ceil(place - 1e-9)[cut.triangles].max(axis=1)
    assert (high - low <= 1).all()

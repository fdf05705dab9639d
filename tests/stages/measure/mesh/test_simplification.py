import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from tests.stages.measure.shapes import ellipsoid, is_closed, volume_nm3, whole_mesh
from trimesh import Trimesh
from trimesh.proximity import closest_point_naive

from volproc.stages.measure.mesh import simplification
from volproc.stages.measure.mesh.simplification import simplify
from volproc.stages.measure.mesh.triangle_mesh import Mesh

CUBE = (50.0, 50.0, 50.0)


def farthest(mesh, points):
    """By another library than the one that is tested."""
    body = Trimesh(mesh.vertices, mesh.triangles, process=False)
    return closest_point_naive(body, points)[1].max()


def rough_body(side, seed=1):
    """Branched, with thin necks."""
    noise = np.random.default_rng(seed).standard_normal((side,) * 3)
    return whole_mesh(np.pad(gaussian_filter(noise, 1.5) > 0.12, 2), CUBE)


@pytest.mark.parametrize("error_nm", [5.0, 20.0, 60.0])
@pytest.mark.parametrize("body", ["ellipsoid", "rough"])
def test_vertices_of_either_are_within_the_error_of_the_other(body, error_nm):
    smooth = whole_mesh(ellipsoid((300, 500, 400), CUBE).mask, CUBE)
    mesh = smooth if body == "ellipsoid" else rough_body(14)
    fewer = simplify(mesh, error_nm=error_nm)
    assert len(fewer.triangles) < len(mesh.triangles) * (0.8 if error_nm == 5 else 0.6)
    assert farthest(fewer, mesh.vertices) <= error_nm * (1 + 1e-9)
    assert farthest(mesh, fewer.vertices) <= error_nm * (1 + 1e-9)
    assert is_closed(fewer)
    assert volume_nm3(fewer) > 0


@pytest.mark.parametrize("way", ["there", "back"])
def test_each_way_alone_can_refuse_a_step(monkeypatch, way):
    """A tetrahedron in a cube: its corners are on the cube, the cube's others far from it."""
    cube = whole_mesh(np.ones((4, 4, 4), bool), CUBE, smooth_nm=0)
    low, high = cube.vertices.min(axis=0), cube.vertices.max(axis=0)
    corners = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]) * (high - low) + low
    inner = Mesh(corners, np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]], np.int32))
    full, fewer = (cube, inner) if way == "there" else (inner, cube)
    monkeypatch.setattr(simplification, "_reduced", lambda *_: fewer)
    assert simplify(full, error_nm=60) is full


@settings(max_examples=30)
@given(mask=arrays(bool, (5, 5, 5)), error_nm=st.sampled_from([5.0, 25.0, 100.0]))
def test_closed_stays_closed(mask, error_nm):
    mesh = whole_mesh(mask, CUBE)
    fewer = simplify(mesh, error_nm=error_nm)
    assert is_closed(fewer)
    assert fewer.vertices.shape == np.unique(fewer.vertices, axis=0).shape
    if len(mesh.triangles):
        assert 4 <= len(fewer.triangles) <= len(mesh.triangles)
        assert farthest(fewer, mesh.vertices) <= error_nm * (1 + 1e-9)


def test_rough_and_branched_bodies_stay_closed_and_are_the_same_again():
    mesh = rough_body(40)
    for error_nm in (10.0, 50.0):
        fewer, again = simplify(mesh, error_nm=error_nm), simplify(mesh, error_nm=error_nm)
        assert is_closed(fewer)
        assert len(fewer.triangles) < len(mesh.triangles) * 0.8
        np.testing.assert_array_equal(fewer.vertices, again.vertices)
        np.testing.assert_array_equal(fewer.triangles, again.triangles)


def test_smaller_steps_follow_where_a_half_goes_too_far(monkeypatch):
    mesh = rough_body(20)
    fewer = simplify(mesh, error_nm=25)
    monkeypatch.setattr(simplification, "SHARES", (0.5,))
    halved = simplify(mesh, error_nm=25)
    assert len(fewer.triangles) == pytest.approx(0.7 * len(halved.triangles), rel=0.01)


def test_flat_sides_take_a_few_triangles():
    mesh = whole_mesh(np.ones((20, 20, 20), bool), CUBE)
    assert len(simplify(mesh, error_nm=25).triangles) < len(mesh.triangles) / 50


def test_the_border_of_an_open_mesh_stays_within_the_error():
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[:6, 3:9, 3:9] = True
    mesh = whole_mesh(mask, CUBE, closed=False)
    fewer = simplify(mesh, error_nm=30)
    assert len(fewer.triangles) < len(mesh.triangles)
    assert not is_closed(fewer)
    low = mesh.vertices[:, 0] == mesh.vertices[:, 0].min()
    assert farthest(fewer, mesh.vertices[low]) <= 30


def test_error_0_and_an_empty_mesh_are_left_alone():
    mesh = whole_mesh(np.ones((2, 2, 2), dtype=bool), CUBE)
    assert simplify(mesh, error_nm=0) is mesh
    none = Mesh(np.empty((0, 3)), np.empty((0, 3), dtype=np.int32))
    assert simplify(none, error_nm=10) is none

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from tests.stages.measure.shapes import ellipsoid, whole_mesh
from trimesh import Trimesh
from trimesh.proximity import closest_point_naive

from volproc.stages.measure.mesh.triangle_mesh import Mesh
from volproc.stages.measure.simplify.collapse_rules import FEW_HELD, near, new_scratch
from volproc.stages.measure.simplify.collapse_state import new_state, valence_is_three
from volproc.stages.measure.simplify.quadrics import PREPARED, prepare, squared_distance
from volproc.stages.measure.simplify.simplification import simplify

CUBE = (50.0, 50.0, 50.0)


def farthest(mesh, points):
    body = Trimesh(mesh.vertices, mesh.triangles, process=False)
    return closest_point_naive(body, points)[1].max()


def spread(mesh):
    """Some 2000 places all over the triangles of a mesh."""
    a, b, c = mesh.vertices[mesh.triangles].transpose(1, 0, 2)[:, :, None]
    r, s = (n.ravel()[:, None] for n in np.meshgrid(*[np.linspace(0, 1, 7)] * 2))
    places = ((1 - r) * a + r * (1 - s) * b + r * s * c).reshape(-1, 3)
    return places[:: max(1, len(places) // 2000)]


@pytest.mark.parametrize("error_nm", [5.0, 20.0, 60.0])
def test_no_vertex_is_further_than_the_error(error_nm):
    mesh = whole_mesh(ellipsoid((300, 500, 400), CUBE).mask, CUBE)
    fewer = simplify(mesh, error_nm=error_nm)
    assert len(fewer.triangles) < len(mesh.triangles) / 3
    assert farthest(fewer, mesh.vertices) <= error_nm * (1 + 1e-9)
    assert farthest(mesh, spread(fewer)) <= error_nm * 1.05  # measured at some places of these
    assert fewer.is_closed
    assert fewer.volume_nm3 > 0


@settings(max_examples=30)
@given(mask=arrays(bool, (5, 5, 5)), error_nm=st.sampled_from([5.0, 25.0, 100.0]))
def test_closed_stays_closed(mask, error_nm):
    mesh = whole_mesh(mask, CUBE)
    fewer = simplify(mesh, error_nm=error_nm)
    assert fewer.is_closed
    if len(mesh.triangles):
        assert 4 <= len(fewer.triangles) <= len(mesh.triangles)
        assert farthest(fewer, mesh.vertices) <= error_nm * (1 + 1e-9)


def test_rough_and_branched_bodies_stay_closed():
    noise = np.random.default_rng(1).standard_normal((40, 40, 40))
    mesh = whole_mesh(np.pad(gaussian_filter(noise, 1.5) > 0.12, 2), CUBE)
    for error_nm in (10.0, 50.0):
        fewer = simplify(mesh, error_nm=error_nm)
        assert fewer.is_closed
        assert len(fewer.triangles) < len(mesh.triangles) * 0.8


def test_border_of_an_open_mesh_stays():
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[:6, 3:9, 3:9] = True
    mesh = whole_mesh(mask, CUBE, closed=False)
    fewer = simplify(mesh, error_nm=30)
    low = mesh.vertices[:, 0] == mesh.vertices[:, 0].min()
    assert len(fewer.triangles) < len(mesh.triangles)
    kept = {tuple(v) for v in fewer.vertices.round(6).tolist()}
    assert {tuple(v) for v in mesh.vertices[low].round(6).tolist()} <= kept


def test_error_0_and_an_empty_mesh_are_left_alone():
    mesh = whole_mesh(np.ones((2, 2, 2), dtype=bool), CUBE)
    assert simplify(mesh, error_nm=0) is mesh
    none = Mesh(np.empty((0, 3)), np.empty((0, 3), dtype=np.int32))
    assert simplify(none, error_nm=10) is none


@given(arrays(float, (4, 3), elements=st.integers(-9, 9)))
def test_distance_to_a_triangle(places):
    point, *corners = places
    prepared = np.empty((1, PREPARED))
    prepare(np.array(corners), 0, 1, 2, prepared, 0)
    found, _ = squared_distance(*point, prepared, 0)
    # the triangle's points on a fine lattice are never nearer, and one is nearly as near
    r, s = np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 101))
    weights = np.stack([1 - r, r * (1 - s), r * s], axis=-1).reshape(-1, 3)
    near = ((weights @ np.array(corners) - point) ** 2).sum(axis=1).min()
    assert np.sqrt(found) <= np.sqrt(near) + 1e-6
    assert np.sqrt(found) >= np.sqrt(near) - 0.5


def bare_state(places, triangles):
    fixed = np.zeros(len(places), dtype=bool)
    return new_state(np.array(places, float), np.array(triangles, np.int32), fixed)


def test_a_vertex_of_four_triangles_has_no_three():
    """Of an octahedron none has, the first neither; around a triangle that is gone all three do."""
    places = np.concatenate([np.eye(3), -np.eye(3)])
    octahedron = [[x, y, z] if (x < 3) == (y < 3) == (z < 3) else [x, z, y]
                  for x in (0, 3) for y in (1, 4) for z in (2, 5)]  # fmt: skip
    state = bare_state(places, octahedron)
    assert not any(valence_is_three(state, vertex) for vertex in range(6))
    state.triangles[0, 0] = -1
    assert [valence_is_three(state, n) for n in range(6)] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("left_out", range(4))
def test_the_middles_of_a_triangle_and_of_its_sides_are_measured(left_out):
    """Each alone: where no vertex as it came is near one of the four, the triangle is refused."""
    middles = [[3, 0, 0], [0, 3, 0], [3, 3, 0], [2, 2, 0]]
    state = bare_state(middles, [[0, 1, 2]])
    state.normals[:] = 0.8, 0.6, 0  # no plane of them passes another middle
    scratch = new_scratch()
    scratch.prepared[0, :9] = 0, 0, 0, 6, 0, 0, 0, 6, 0  # a corner and two sides from it
    scratch.held[:8] = [0, 1, 2, 3] * 2
    assert FEW_HELD == 8
    assert near(state, 1, 8, 0.01, scratch)
    scratch.held[:8] = [(left_out + 1 + n % 3) % 4 for n in range(8)]
    assert not near(state, 1, 8, 0.01, scratch)
    assert near(state, 1, 7, 0.01, scratch)  # fewer are too small to pass far from the mesh

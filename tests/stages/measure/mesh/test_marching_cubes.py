import numpy as np
import pytest

from volproc.stages.measure.mesh.marching_cubes import fan, loops, triangle_table


def crossed_edges(cube):
    ends = [
        (3 * c + axis, c, c + bit)
        for axis, bit in enumerate((4, 2, 1))
        for c in range(8)
        if not c & bit
    ]
    return {edge for edge, a, b in ends if (cube >> a ^ cube >> b) & 1}


@pytest.mark.parametrize("cube", range(256))
def test_loops_pass_every_crossed_edge_once(cube):
    passed = [edge for loop in loops(cube) for edge in loop]
    assert len(passed) == len(set(passed))
    assert set(passed) == crossed_edges(cube)


def test_no_diagonal_lies_on_a_face():
    def faces(edge):
        corner, axis = divmod(edge, 3)
        return {(a, corner >> (2 - a) & 1) for a in range(3) if a != axis}

    for cube in range(256):
        for loop in loops(cube):
            sides = {frozenset(pair) for pair in zip(loop, loop[1:] + loop[:1])}
            drawn = {frozenset(pair) for t in fan(loop) for pair in zip(t, (*t[1:], t[0]))} - sides
            assert all(not (faces(a) & faces(b)) for a, b in map(tuple, drawn))


def test_one_corner_alone_faces_outwards():
    (triangle,) = (t for t in triangle_table()[1] if t[0] >= 0)
    middles = {0: (1, 0, 0), 1: (0, 1, 0), 2: (0, 0, 1)}  # of the three edges at corner 0, z y x
    a, b, c = (np.array(middles[edge][::-1]) for edge in triangle)
    assert (np.cross(b - a, c - a) > 0).all()

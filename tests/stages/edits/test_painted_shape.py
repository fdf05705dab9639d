"""Voxels of strokes and boxes: decided by their own places."""

import numpy as np
import pytest

from volproc.grid.box import Box
from volproc.stages.edits.painted_shape import painted, shape_box
from volproc.stages.edits.requests import EditRequest

VOXEL_NM = (40.0, 20.0, 20.0)
BALL = EditRequest(do="paint", objects=0, points=[(200, 200, 200)], radius_nm=100)
STROKE = EditRequest(do="paint", objects=0, points=[(0, 0, 0), (300, 200, 500)], radius_nm=60)
BRICK = EditRequest(do="paint", objects=0, shape="box", points=[(40, 20, 100), (120, 60, 20)])


def test_a_ball_has_the_voxels_whose_centre_is_in_it():
    box = shape_box(BALL, VOXEL_NM)
    centres = (np.argwhere(np.ones(box.shape)) + box.start + 0.5) * VOXEL_NM
    inside = ((centres - 200) ** 2).sum(1) <= 100**2
    assert painted(BALL, box, VOXEL_NM).reshape(-1).tolist() == inside.tolist()
    around = painted(BALL, box.grow((2, 2, 2)), VOXEL_NM)
    assert around.sum() == inside.sum() > 0


def test_a_box_lies_between_two_corners_in_any_order():
    found = painted(BRICK, Box((0, 0, 0), (5, 5, 8)), VOXEL_NM)
    assert np.argwhere(found).min(0).tolist() == [1, 1, 1]
    assert np.argwhere(found).max(0).tolist() == [2, 2, 4]


@pytest.mark.parametrize("asked", [BALL, STROKE, BRICK])
def test_any_cut_gives_the_same(asked):
    whole = Box((0, 0, 0), (9, 12, 30))
    found = painted(asked, whole, VOXEL_NM)
    for part in (Box((3, 2, 1), (8, 12, 17)), Box((0, 5, 5), (9, 6, 30))):
        assert (painted(asked, part, VOXEL_NM) == found[part.slices]).all()

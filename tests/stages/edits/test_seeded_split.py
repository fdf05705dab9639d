"""Parts of an object: they begin at their seeds and meet where it is thin."""

import numpy as np

from volproc.stages.edits.seeded_split import split

VOXEL_NM = (40.0, 20.0, 20.0)


def two_balls(neck=2):
    """Balls around x 12 and x 36, joined by a rod along x."""
    z, y, x = np.indices((16, 24, 48))
    mask = np.zeros(z.shape, bool)
    for middle in (12, 36):
        mask |= ((z - 8) * 2) ** 2 + (y - 12) ** 2 + (x - middle) ** 2 <= 100
    mask |= (abs(z - 8) <= 1) & (abs(y - 12) <= neck) & (x >= 12) & (x <= 36)
    return mask


def test_parts_meet_in_the_middle_of_the_neck():
    mask = two_balls()
    parts = split(mask, [[(8, 12, 8)], [(8, 12, 40)]], voxel_nm=VOXEL_NM)
    assert ((parts > 0) == mask).all()
    x = np.indices(mask.shape)[2]
    assert set(parts[mask & (x < 20)]) == {1}
    assert set(parts[mask & (x > 28)]) == {2}


def test_a_part_that_begins_at_the_surface_is_not_flooded_from_another():
    mask = two_balls(neck=4)
    for edge in ((8, 22, 36), (4, 14, 40), (8, 12, 45)):
        parts = split(mask, [[(8, 12, 12)], [edge]], voxel_nm=VOXEL_NM)
        x = np.indices(mask.shape)[2]
        assert set(parts[mask & (x < 18)]) == {1}
        assert set(parts[mask & (x > 30)]) == {2}


def test_a_part_may_begin_at_several_places():
    mask = two_balls()
    seeds = [[(8, 12, 12)], [(8, 6, 36), (8, 18, 36)]]
    parts = split(mask, seeds, voxel_nm=VOXEL_NM)
    assert parts[8, 6, 36] == parts[8, 18, 36] == parts[8, 12, 36] == 2


def test_what_touches_no_seed_goes_to_the_first_part():
    mask = two_balls()
    mask[0, 0, :3] = True
    parts = split(mask, [[(8, 12, 40)], [(8, 12, 8)]], voxel_nm=VOXEL_NM)
    assert set(parts[0, 0, :3]) == {1}


def test_parts_follow_a_probability_where_it_is_given():
    """A low plane at x 16, off the middle of the rod."""
    mask = two_balls(neck=8)
    probability = np.full(mask.shape, 200, np.uint8)
    probability[:, :, 16] = 10
    seeds = [[(8, 12, 8)], [(8, 12, 40)]]
    parts = split(mask, seeds, voxel_nm=VOXEL_NM, probability=probability)
    x = np.indices(mask.shape)[2]
    assert set(parts[mask & (x < 16)]) == {1}
    assert set(parts[mask & (x > 16)]) == {2}

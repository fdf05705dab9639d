"""Which turns a view allows; what may count after a warp."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

COUNT = 40


def ramps(raw_patches, axis):
    """Patches whose rows differ and whose columns do not."""
    raw = raw_patches([axis] * COUNT)
    rows = torch.arange(0, 37, dtype=torch.uint8) * 6
    return replace(raw, planes=rows[:, None].expand(raw.planes.shape).contiguous())


def swapped(planes):
    """Of each patch whether rows and columns have changed places."""
    return (planes != planes[..., :1]).flatten(1).any(1)


@pytest.mark.parametrize(
    ("axis", "voxel_nm", "turns"),
    [
        *[(axis, (8, 8, 8), True) for axis in range(3)],
        *[(0, (40, 8, 8), True), (1, (40, 8, 8), False), (2, (40, 8, 8), False)],
        *[(0, (8, 8, 16), False), (1, (8, 8, 16), False), (2, (8, 8, 16), True)],
    ],
)
def test_patches_are_turned_where_pixels_are_square(raw_patches, augment, axis, voxel_nm, turns):
    planes = augment(ramps(raw_patches, axis), flips=True, voxel_nm=voxel_nm).planes
    assert bool(swapped(planes).any()) == turns
    assert not swapped(planes).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_symmetry_of_a_view_occurs(raw_patches, augment, axis):
    raw = raw_patches([axis] * 160)
    raw = replace(raw, planes=raw.planes[:1].expand_as(raw.planes).contiguous())
    cubes = {patch.numpy().tobytes() for patch in augment(raw, flips=True).planes}
    bricks = augment(raw, flips=True, voxel_nm=(40, 8, 8)).planes
    assert len(cubes) == 16  # 8 of the plane, each with its slices in both orders
    assert len({patch.numpy().tobytes() for patch in bricks}) == (16 if axis == 0 else 8)


@pytest.mark.parametrize(
    ("axis", "voxel_nm", "turns"),
    [(0, (8, 8, 8), True), (0, (40, 8, 8), True), (1, (8, 8, 8), False), (0, (8, 8, 16), False)],
)
def test_free_rotation_is_in_planes_along_z(raw_patches, augment, axis, voxel_nm, turns):
    raw = ramps(raw_patches, axis)
    moved = augment(
        raw, warp=1, scale=0, bend_voxels=0, rotation_degrees=45, voxel_nm=voxel_nm
    ).planes
    near = torch.allclose(moved, augment(raw).planes, atol=1e-3)
    assert near != turns


def test_sections_bend_as_far_in_nm_as_their_planes(raw_patches, augment):
    """Viewed along y, 5 columns are as long as one row: rows bend a fifth of the voxels."""
    raw = ramps(raw_patches, 1)
    change = {
        size: (augment(raw, warp=1, scale=0, voxel_nm=size).planes - augment(raw).planes).abs()
        for size in ((8, 8, 8), (40, 8, 8))
    }
    inner = (slice(None), slice(None), slice(14, -14))
    assert change[40, 8, 8][inner].mean() < 0.4 * change[8, 8, 8][inner].mean()


def test_no_voxel_counts_into_which_an_ignored_one_was_blended(raw_patches, augment):
    raw = raw_patches([0, 1, 2] * 4)
    raw.weight[..., 18:] = 0
    raw = replace(raw, target=torch.where(raw.weight > 0, 254, 0).to(torch.uint8))  # soft
    _, target, weight = augment(raw, warp=1, rotation_degrees=40)
    counted = target[weight > 0]
    assert torch.allclose(counted, torch.full_like(counted, 254 / 255), atol=1e-3)
    assert 0.2 < (weight > 0).float().mean() < 0.8


def test_soft_targets_stay_soft(raw_patches, augment):
    raw = raw_patches([0] * 3)
    soft = replace(raw, target=torch.where(raw.target > 0, 200, 0).to(torch.uint8))
    hard, between = (augment(one, warp=1).target for one in (raw, soft))
    assert hard.unique().tolist() == [0, 1]
    assert between.unique().numel() > 100

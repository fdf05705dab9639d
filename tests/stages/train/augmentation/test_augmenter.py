"""Laws of every change: pure, a patch on its own, image and labels together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from volproc.model.normalisation import CLIP, Normalisation

ALL = {
    **{"profile": "cross-microscope", "missing": 0.5, "repeated": 0.5, "shifted": 0.5},
    **{"charging": 0.5, "warp": 0.6, "rotation_degrees": 30.0, "curves": 0.4},
}
GREY = {
    "brightness": {"brightness": 0.5},
    "contrast": {"contrast": 0.5},
    "gamma": {"gamma": 0.5},
    "section_brightness": {"section_brightness": 0.5},
    "section_contrast": {"section_contrast": 0.5},
    "missing": {"missing": 1},
    "repeated": {"repeated": 1},
    "charging": {"charging": 1},
    "blur": {"blur": 1},
    "noise": {"noise": 1},
    "curves": {"curves": 1},
}
MOVING = {
    "flips": {"flips": True},
    "shifted": {"shifted": 1},
    "scale": {"warp": 1, "rotation_degrees": 0, "bend_voxels": 0},
    "rotation": {"warp": 1, "scale": 0, "bend_voxels": 0, "rotation_degrees": 60},
    "bend": {"warp": 1, "scale": 0, "rotation_degrees": 0},
}
VIEWS = pytest.mark.parametrize("axis", [0, 1, 2])


def one(raw, place):
    """A batch of the patch at `place` alone."""
    part = slice(place, place + 1)
    parts = {name: getattr(raw, name)[part] for name in ("planes", "mean", "std", "target")}
    return replace(
        raw, **parts, weight=raw.weight[part], axes=raw.axes[part], first=raw.first + place
    )


def mixed(raw_patches, dtype):
    """Every view; voxels that do not count in some, soft targets in others."""
    raw = raw_patches([0, 1, 2, 0, 1, 2, 0, 0])
    raw.weight[3:5, :, :, 9:20] = 0
    raw.weight[5, 0, :, :, 3:9] = 100
    raw.target[6] = raw.target[6] // 255 * 200
    return replace(raw, planes=raw.planes.to(dtype))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("voxel_nm", [(8, 8, 8), (40, 8, 8)])
def test_what_becomes_of_a_patch_does_not_depend_on_the_others(
    raw_patches, augment, dtype, voxel_nm
):
    raw = mixed(raw_patches, dtype)
    together = augment(raw, voxel_nm=voxel_nm, **ALL)
    for place in range(len(raw.axes)):
        alone = augment(one(raw, place), voxel_nm=voxel_nm, **ALL)
        for whole, part in zip(together, alone, strict=True):
            assert torch.equal(whole[place : place + 1], part)


def test_nor_on_how_many_threads_share_a_batch(raw_patches, augment):
    """torch.pow differs in the last bit at the end of what a thread takes on."""
    raw = raw_patches([0] * 7)
    raw = replace(raw, planes=raw.planes.float())
    torch.set_num_threads(2)
    try:
        for step in range(20):
            here = replace(raw, step=step)
            together = augment(here, gamma=0.5).planes
            alone = [augment(one(here, place), gamma=0.5).planes for place in range(7)]
            assert torch.equal(together, torch.cat(alone))
    finally:
        torch.set_num_threads(1)


def test_a_batch_depends_on_seed_step_and_number(raw_patches, augment):
    raw = mixed(raw_patches, torch.uint8)
    batch = augment(raw, **ALL)
    assert all(map(torch.equal, augment(raw, **ALL), batch))
    others = augment(raw, seed=2, **ALL), augment(replace(raw, step=4), **ALL)
    for other in (*others, augment(replace(raw, first=8), **ALL)):
        assert not any(torch.equal(a, b) for a, b in zip(other[0], batch[0], strict=True))


def test_raw_patches_are_left_as_they_were(raw_patches, augment):
    raw, before = mixed(raw_patches, torch.float32), mixed(raw_patches, torch.float32)
    augment(raw, **ALL)
    for name in ("planes", "target", "weight"):
        assert torch.equal(getattr(raw, name), getattr(before, name))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_none_normalises_and_nothing_else(raw_patches, augment, dtype):
    raw = mixed(raw_patches, dtype)
    planes, target, weight = augment(raw)
    assert torch.equal(planes, Normalisation(127.5, 60.0).apply(raw.planes))
    assert torch.equal(target, raw.target[:, :, 1:5].float() / 255)
    assert torch.equal(weight, raw.weight[:, :, 1:5].float() / 255)


def test_not_a_number_becomes_the_mean(raw_patches, augment):
    raw = mixed(raw_patches, torch.float32)
    raw.planes[0, 0, 0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    assert augment(raw)[0][0, 0, 0, :3].tolist() == [0, CLIP, -CLIP]


def test_ranges(raw_patches, augment):
    raw = mixed(raw_patches, torch.uint8)
    for step in range(4):
        planes, target, weight = augment(replace(raw, step=step), **ALL)
        assert planes.shape == raw.planes.shape
        assert target.shape == weight.shape == (8, 2, 4, 37, 37)
        assert planes.abs().max() <= CLIP
        assert torch.isfinite(planes).all()
        assert set(target[:6].unique().tolist()) == {0.0, 1.0}  # hard labels stay hard
        assert target[6].max() <= 200.5 / 255
        assert (weight[[0, 1, 2, 7]] == 1).all()
        assert 0 <= weight.min() < weight.max() <= 1


@VIEWS
@pytest.mark.parametrize("options", GREY.values(), ids=GREY)
def test_grey_values_change_and_labels_do_not(raw_patches, augment, axis, options):
    raw = raw_patches([axis] * 3)
    raw.weight[:, :, :, 9:20] = 0
    plain, batch = augment(raw), augment(raw, **options)
    assert torch.equal(batch.target, plain.target)
    assert torch.equal(batch.weight, plain.weight)
    for number in range(3):
        assert not torch.equal(batch.planes[number], plain.planes[number])


@VIEWS
@pytest.mark.parametrize("options", MOVING.values(), ids=MOVING)
def test_image_target_and_weight_move_together(raw_patches, augment, axis, options):
    """The target is painted into the image, and what counts is the second class."""
    raw = raw_patches([axis] * 6)
    raw = replace(raw, planes=raw.target[:, 0], weight=raw.target[:, 1:].expand(-1, 2, -1, -1, -1))
    plain, batch = augment(raw), augment(raw, **options)
    seen = batch.planes[:, 1:5]
    clear = seen.abs() > 0.2  # of -2.1 to 2.1: the rest was blended from both
    assert torch.equal((seen > 0)[clear], batch.target[:, 0][clear] == 1)
    assert clear.float().mean() > 0.9
    assert bool((batch.target[:, 1][batch.weight[:, 0] > 0] == 1).all())
    both = (batch.weight[:, 0] > 0) == (batch.target[:, 1] == 1)
    assert both.float().mean() > 0.75
    if options != MOVING["rotation"] or axis == 0:
        assert not torch.equal(batch.planes, plain.planes)


def test_strengths_of_0_change_nothing(raw_patches, augment):
    raw = mixed(raw_patches, torch.uint8)
    zeros = {"charging_brightness": 0, "shift_voxels": 0, "blur_voxels": 0, "gauss": 0, "shot": 0}
    still = augment(raw, shifted=1, charging=1, blur=1, noise=1, **zeros)
    assert all(map(torch.equal, still, augment(raw)))


def test_a_warp_of_strength_0_changes_nothing(raw_patches, augment):
    raw = mixed(raw_patches, torch.uint8)
    still = augment(raw, warp=1, scale=0, rotation_degrees=0, bend_voxels=0)
    for part, plain in zip(still, augment(raw), strict=True):
        assert torch.allclose(part, plain, atol=1e-3)


def test_one_kind_of_change_does_not_depend_on_whether_another_happens(raw_patches, augment):
    raw = mixed(raw_patches, torch.uint8)
    bright = augment(raw, brightness=0.1).planes - augment(raw).planes
    inner = augment(raw, section_brightness=0.05).planes.abs() < CLIP - 1
    both = augment(raw, section_brightness=0.05, brightness=0.1).planes
    apart = both - augment(raw, section_brightness=0.05).planes
    assert torch.allclose(apart[inner], bright[inner], atol=1e-5)

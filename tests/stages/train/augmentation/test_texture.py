"""Blur keeps the mean, noise keeps its distribution."""

from __future__ import annotations

from dataclasses import replace

import torch

MANY = [0] * 12


def test_blur_takes_and_sharpening_gives_contrast(raw_patches, augment):
    raw = raw_patches(MANY)
    plain, changed = augment(raw).planes, augment(raw, blur=1).planes
    ratio = changed.flatten(1).std(1) / plain.flatten(1).std(1)
    assert ratio.min() < 0.9
    assert 1 < ratio.max() < 1.7  # of white noise
    assert torch.allclose(changed.mean((1, 2, 3)), plain.mean((1, 2, 3)), atol=1e-4)


def variances(raw_patches, augment, axis=0, **options):
    """By how much a bright pixel of each patch was spread along rows and columns, in voxels²."""
    raw = raw_patches([axis] * 60)
    point = torch.full_like(raw.planes, 127)
    point[:, :, 18, 18] = 200
    planes = augment(replace(raw, planes=point), blur=1, **options).planes
    share = planes - planes[:, :, :1, :1]
    share = share[:, 0] / share[:, 0].sum((1, 2), keepdim=True)
    squares = (torch.arange(37.0) - 18) ** 2
    return (share.sum(2) * squares).sum(1), (share.sum(1) * squares).sum(1)


def test_blur_is_as_wide_as_it_says(raw_patches, augment):
    for voxels in (0.5, 1.2):
        for found in variances(raw_patches, augment, blur_voxels=voxels):
            assert 0.9 * voxels**2 < found.max() < 1.001 * voxels**2
            assert -0.51 * voxels**2 < found.min() < -0.3 * voxels**2


def test_blur_is_as_wide_in_nm_along_rows_that_are_sections(raw_patches, augment):
    rows, columns = variances(raw_patches, augment, axis=1, voxel_nm=(40, 8, 8))
    assert torch.allclose(rows, columns / 25, atol=1e-4)


def test_a_flat_patch_stays_flat_when_blurred(raw_patches, augment):
    raw = raw_patches(MANY)
    flat = replace(raw, planes=torch.full_like(raw.planes, 90))
    assert torch.equal(augment(flat, blur=1).planes, augment(flat).planes)


def noise_of(raw_patches, augment, grey, **options):
    """Standard deviation of the noise of each patch of one grey value."""
    raw = raw_patches(MANY)
    flat = replace(raw, planes=torch.full_like(raw.planes, grey))
    noise = augment(flat, noise=1, **options).planes - augment(flat).planes
    assert noise.mean().abs() < 0.01
    return noise.flatten(1).std(1)


def test_gaussian_noise_is_the_same_everywhere(raw_patches, augment):
    dark, bright = (noise_of(raw_patches, augment, grey, gauss=0.3, shot=0) for grey in (40, 200))
    assert torch.allclose(dark, bright, rtol=1e-3)
    assert 0 < dark.min() < 0.15 < dark.max() <= 0.31


def test_the_variance_of_shot_noise_grows_with_the_grey_value(raw_patches, augment):
    dark, bright = (
        noise_of(raw_patches, augment, grey, gauss=0, shot=0.3) for grey in (7, 247)
    )  # 2 deviations below and above the mean, black is at 5 below
    assert torch.allclose(bright**2 / dark**2, torch.tensor(7 / 3), rtol=0.01)


def test_noise_differs_between_voxels_and_patches(raw_patches, augment):
    raw = raw_patches(MANY)
    flat = replace(raw, planes=torch.full_like(raw.planes, 127))
    noise = augment(flat, noise=1).planes
    assert torch.corrcoef(noise.flatten(1)).fill_diagonal_(0).abs().max() < 0.1
    neighbours = torch.stack([noise[..., :-1].flatten(), noise[..., 1:].flatten()])
    assert torch.corrcoef(neighbours)[0, 1].abs() < 0.05

"""Augmentation: pure functions of the random numbers, and they change what they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from volproc.model.normalisation import CLIP
from volproc.stages.train import augmentation
from volproc.stages.train.augmentation import Strengths

ALWAYS = Strengths(missing=1, curves=1, warp=1, blur=1)
SHAPE = (4, 24, 24)


def patch() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


CHANGES: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "shade": lambda p, rng: augmentation.shade(p, rng=rng, by=ALWAYS),
    "sections": lambda p, rng: augmentation.shade_sections(p, axis=0, rng=rng, by=ALWAYS),
    "turned": lambda p, rng: augmentation.turned(p, rng=rng),
    "warped": lambda p, rng: augmentation.warped(p, p, rng=rng, by=ALWAYS)[0],
    "curved": lambda p, rng: augmentation.curved(p, rng=rng, by=ALWAYS),
    "roughened": lambda p, rng: augmentation.roughened(p, rng=rng, by=ALWAYS),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_same_random_numbers_same_patch(change: Callable[..., Tensor]) -> None:
    first = change(patch(), np.random.default_rng(3))
    assert torch.equal(first, change(patch(), np.random.default_rng(3)))
    assert first.shape == SHAPE
    assert bool(torch.isfinite(first).all())
    others = [change(patch(), np.random.default_rng(seed)) for seed in range(4, 9)]
    assert not all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_patch_given_is_left_as_it_was(change: Callable[..., Tensor]) -> None:
    given = patch()
    change(given, np.random.default_rng(3))
    assert torch.equal(given, patch())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_sections_are_shaded_as_wholes(axis: int) -> None:
    shaded = augmentation.shade_sections(
        torch.zeros(SHAPE), axis=axis, rng=np.random.default_rng(0), by=ALWAYS
    )
    by_section = shaded.movedim(axis, 0).flatten(1)
    assert torch.equal(by_section.amin(1), by_section.amax(1))
    assert by_section[:, 0].unique().numel() == SHAPE[axis]


def test_turning_keeps_planes_planes() -> None:
    planes = torch.arange(4.0)[:, None, None].expand(SHAPE)
    for seed in range(8):
        turned = augmentation.turned(planes, rng=np.random.default_rng(seed))
        assert torch.equal(turned.amin((1, 2)), turned.amax((1, 2)))


def test_truth_is_warped_with_the_image() -> None:
    rows = torch.linspace(-1, 1, 24)
    image = (rows[:, None] + rows[None, :]).expand(SHAPE).contiguous()
    truth = (image > 0).float()
    for seed in range(4):
        moved, real = augmentation.warped(image, truth, rng=np.random.default_rng(seed), by=ALWAYS)
        assert moved.shape == real.shape == SHAPE
        clear = moved.abs() > 0.15
        assert torch.equal((moved > 0)[clear], (real > 0.5)[clear])
        assert not torch.equal(moved, image)


def test_curves_are_thin() -> None:
    for seed in range(5):
        dark = torch.zeros(4, 96, 96)
        drawn = augmentation.curved(dark, rng=np.random.default_rng(seed), by=ALWAYS)
        assert (drawn != 0).float().mean() < 0.4


def test_values_stay_within_the_clipping_range() -> None:
    loud = patch() * 10
    assert augmentation.roughened(loud, rng=np.random.default_rng(0)).abs().max() <= CLIP

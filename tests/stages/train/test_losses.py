"""The loss: what it counts, and what it makes of borders."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from volproc.stages.train.losses import bce_dice, dice_counts, on_border


def ball() -> torch.Tensor:
    """A ball of radius 5 in 12 slices of 16 x 16 pixels, as a batch of one."""
    grid = torch.meshgrid(*(torch.arange(n) - n / 2 for n in (12, 16, 16)), indexing="ij")
    return (sum(g**2 for g in grid) <= 25).float()[None]


def test_without_border_weight_it_is_cross_entropy_and_soft_dice() -> None:
    truth = ball()
    logits = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    p = logits.sigmoid()
    dice = (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)
    wanted = binary_cross_entropy_with_logits(logits, truth) + 1 - dice
    assert bce_dice(logits, truth).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_borders_run_across_slices_too() -> None:
    truth = ball()
    border = on_border(truth, torch.ones_like(truth))
    assert border[0, 6, 8, 8] == 0  # the middle
    assert border[0, 0, 0, 0] == 0  # far outside
    assert border[0, 1, 8, 8] == 1  # its pole, seen along z
    assert border[0, 6, 8, 13] == 1  # its side
    assert border.sum() < truth.numel()  # a shell, not all


def test_a_mistake_on_the_border_costs_more_with_weight() -> None:
    truth = ball()
    right = (2 * truth - 1) * 8
    on, off = right.clone(), right.clone()
    on[0, 1, 8, 8] *= -1
    off[0, 6, 8, 8] *= -1
    for weight, ratio in ((0.0, 1.0), (9.0, 10.0)):
        best = bce_dice(right, truth, border_weight=weight)
        costs = [bce_dice(wrong, truth, border_weight=weight) - best for wrong in (on, off)]
        assert (costs[0] / costs[1]).item() == pytest.approx(ratio, rel=0.1)


def test_a_voxel_of_no_weight_changes_nothing() -> None:
    truth = ball()
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(truth.shape, generator=random)
    weight = (torch.rand(truth.shape, generator=random) > 0.3).float()
    others = torch.where(weight > 0, logits, 9 * torch.randn(truth.shape, generator=random))
    otherwise = torch.where(weight > 0, truth, torch.rand(truth.shape, generator=random))
    for border in (0.0, 5.0):
        seen = logits.clone().requires_grad_()
        loss = bce_dice(seen, truth, weight, border_weight=border)
        loss.backward()
        assert bce_dice(others, otherwise, weight, border_weight=border) == loss
        assert seen.grad is not None
        assert bool((seen.grad[weight == 0] == 0).all())
        assert bool((seen.grad[weight > 0] != 0).all())


def test_a_batch_in_which_nothing_counts_teaches_nothing() -> None:
    logits = torch.randn(1, 2, 4, 4).requires_grad_()
    loss = bce_dice(logits, torch.ones(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_voxel_of_weight_two_counts_as_two() -> None:
    truth = ball()
    logits = torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))
    twice = torch.cat([logits, logits, logits]), torch.cat([truth, truth, truth])
    once = torch.cat([logits, logits]), torch.cat([truth, truth])
    weight = torch.cat([2 * torch.ones_like(truth), torch.ones_like(truth)])
    assert bce_dice(*once, weight).item() == pytest.approx(bce_dice(*twice).item(), rel=1e-5)


def test_a_soft_label_is_what_labels_drawn_by_lot_make_on_average() -> None:
    """By hand: entropy, overlap and size, each averaged over all ways four voxels may fall."""
    chance = torch.tensor([0.1, 0.5, 0.8, 1.0]).reshape(1, 1, 2, 2)
    logits = torch.tensor([-1.0, 0.3, 2.0, 0.7]).reshape(1, 1, 2, 2)
    p = logits.sigmoid()
    entropy = overlap = size = 0.0
    for labels in product((0.0, 1.0), repeat=4):
        drawn = torch.tensor(labels).reshape(1, 1, 2, 2)
        odds = torch.where(drawn > 0, chance, 1 - chance).prod()
        entropy += odds * -torch.where(drawn > 0, p, 1 - p).log().mean()
        overlap += odds * 2 * (p * drawn).sum()
        size += odds * (p.sum() + drawn.sum())
    wanted = entropy + 1 - (overlap + 1) / (size + 1)
    assert bce_dice(logits, chance).item() == pytest.approx(float(wanted), rel=1e-5)


def test_dice_counts_add_up() -> None:
    truth = ball()
    assert dice_counts(2 * truth - 1, truth) == (2 * int(truth.sum()), 2 * int(truth.sum()))
    assert dice_counts(-torch.ones_like(truth), truth) == (0, int(truth.sum()))

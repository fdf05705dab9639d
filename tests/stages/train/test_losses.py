"""The loss: what it counts, and what it makes of borders."""

from __future__ import annotations

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
    border = on_border(truth)
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


def test_dice_counts_add_up() -> None:
    truth = ball()
    assert dice_counts(2 * truth - 1, truth) == (2 * int(truth.sum()), 2 * int(truth.sum()))
    assert dice_counts(-torch.ones_like(truth), truth) == (0, int(truth.sum()))

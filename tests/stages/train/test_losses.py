"""The loss: what it counts for each class, what it makes of borders, and that its sums add up."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from volproc.stages.train.batch import Batch
from volproc.stages.train.losses import Loss, boundary, highest_within, on_border

CUBE = (50.0, 50.0, 50.0)


def ball() -> Tensor:
    """A ball of radius 5 in 12 slices of 16 x 16 pixels, as a batch of one of one class."""
    grid = torch.meshgrid(*(torch.arange(n) - n / 2 for n in (12, 16, 16)), indexing="ij")
    return (sum(g**2 for g in grid) <= 25).float()[None, None]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def loss_of(logits: Tensor, target: Tensor, weight: Tensor | None = None, **options: Any) -> Tensor:
    weight = torch.ones_like(target) if weight is None else weight
    axes = options.pop("axes", [0] * len(logits))
    loss = Loss(options.pop("voxel_nm", CUBE), **options)
    return loss(logits, Batch(logits, target, weight), axes)


def small(values: list[float]) -> Tensor:
    return torch.tensor(values).reshape(1, 1, 1, 2, 2)


def test_it_is_cross_entropy_and_soft_dice() -> None:
    truth = ball()
    logits = noise(*truth.shape)
    p = logits.sigmoid()
    dice = (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)
    wanted = binary_cross_entropy_with_logits(logits, truth) + 1 - dice
    assert loss_of(logits, truth).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_it_is_the_mean_of_the_classes_that_are_there() -> None:
    truth = torch.cat([ball(), 1 - ball(), ball()], dim=1)
    logits, weight = noise(*truth.shape), torch.ones_like(truth)
    weight[:, 1] = 0  # nobody said where this one is
    alone = [loss_of(logits[:, n : n + 1], truth[:, n : n + 1]).item() for n in range(3)]
    assert loss_of(logits, truth).item() == pytest.approx(sum(alone) / 3, rel=1e-5)
    seen = logits.requires_grad_()
    loss = loss_of(seen, truth, weight)
    assert loss.item() == pytest.approx((alone[0] + alone[2]) / 2, rel=1e-5)
    loss.backward()
    assert seen.grad is not None
    assert not seen.grad[:, 1].any()
    assert seen.grad[:, 0].any()


def test_a_border_is_so_many_nm_along_each_axis_of_the_view() -> None:
    loss = Loss((100.0, 40.0, 20.0), border_nm=100)
    assert [loss.reach(axis) for axis in range(3)] == [(1, 2, 5), (2, 1, 5), (5, 1, 2)]
    assert Loss((100.0, 40.0, 20.0)).reach(1) == (2, 2, 2)
    assert Loss((33.3, 33.3, 33.3), border_nm=99.9).reach(0) == (3, 3, 3)


def test_patches_seen_along_several_axes_count_each_by_its_own_border() -> None:
    truth = torch.cat([ball()] * 3)
    logits = noise(*truth.shape)
    how: dict[str, Any] = {"voxel_nm": (100.0, 50.0, 25.0), "border_weight": 3, "border_nm": 100}
    parts = [loss_of(logits, truth, axes=[axis] * 3, **how).item() for axis in range(3)]
    assert len(set(parts)) == 3
    both = torch.cat([logits[:1], logits[:1]]), torch.cat([truth[:1], truth[:1]])
    mixed = loss_of(*both, axes=[0, 2], **how).item()
    sides = [loss_of(*both, axes=[axis, axis], **how).item() for axis in (0, 2)]
    assert min(sides) < mixed < max(sides)


def test_borders_run_across_slices_too() -> None:
    truth = ball()
    border = on_border(truth, torch.ones_like(truth), (2, 2, 2))[0, 0]
    assert border[6, 8, 8] == 0  # the middle
    assert border[0, 0, 0] == 0  # far outside
    assert border[1, 8, 8] == 1  # its pole, seen along z
    assert border[6, 8, 13] == 1  # its side
    assert border.sum() < truth.numel()  # a shell, not all


def test_a_mistake_on_the_border_costs_more_with_weight() -> None:
    truth = ball()
    right = (2 * truth - 1) * 8
    on, off = right.clone(), right.clone()
    on[..., 1, 8, 8] *= -1
    off[..., 6, 8, 8] *= -1
    for weight, ratio in ((0.0, 1.0), (9.0, 10.0)):
        best = loss_of(right, truth, border_weight=weight)
        costs = [loss_of(wrong, truth, border_weight=weight) - best for wrong in (on, off)]
        assert (costs[0] / costs[1]).item() == pytest.approx(ratio, rel=0.1)


@pytest.mark.parametrize("reach", [(1, 1, 1), (0, 2, 1), (20, 3, 0)])
def test_the_highest_within_a_box(reach: tuple[int, int, int]) -> None:
    values = noise(2, 1, 5, 6, 7).sigmoid()
    found = highest_within(values, reach)
    for place in product(range(5), range(6), range(7)):
        box = tuple(slice(max(0, p - r), p + r + 1) for p, r in zip(place, reach))
        assert torch.equal(found[(..., *place)], values[(..., *box)].amax((-3, -2, -1)))


def test_the_boundary_term_falls_as_boundaries_come_near() -> None:
    truth = ball()
    shifted = [torch.roll(truth, by, -1) for by in (0, 1, 3, 4)]
    costs = [
        (
            loss_of((2 * s - 1) * 20, truth, boundary=1.0, border_nm=100)
            - loss_of((2 * s - 1) * 20, truth)
        ).item()
        for s in shifted
    ]
    assert costs[0] == pytest.approx(0, abs=1e-3)
    assert costs[1] == pytest.approx(0, abs=1e-3)  # within 100 nm, of voxels of 50
    assert 0.01 < costs[2] < costs[3]
    logits = noise(*truth.shape).requires_grad_()
    loss_of(logits, truth, boundary=1.0).backward()
    assert torch.isfinite(logits.grad).all()


def test_a_boundary_is_inside_beside_what_is_outside() -> None:
    mask = torch.zeros(1, 1, 3, 7, 7)
    mask[..., 1:6, 1:6] = 1
    inner = torch.zeros_like(mask)
    inner[..., 2:5, 2:5] = 1
    assert torch.equal(boundary(mask, torch.ones_like(mask)), mask - inner)


@pytest.mark.parametrize("options", [{}, {"border_weight": 5.0}, {"boundary": 2.0}])
def test_a_voxel_of_no_weight_changes_nothing(options: dict[str, float]) -> None:
    truth = ball()
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(truth.shape, generator=random)
    weight = (torch.rand(truth.shape, generator=random) > 0.3).float()
    others = torch.where(weight > 0, logits, 9 * torch.randn(truth.shape, generator=random))
    otherwise = torch.where(weight > 0, truth, torch.rand(truth.shape, generator=random))
    seen = logits.clone().requires_grad_()
    loss = loss_of(seen, truth, weight, **options)
    loss.backward()
    assert loss_of(others, otherwise, weight, **options) == loss
    assert seen.grad is not None
    assert bool((seen.grad[weight == 0] == 0).all())
    assert bool((seen.grad[weight > 0] != 0).all())


def test_a_batch_in_which_nothing_counts_teaches_nothing() -> None:
    logits = noise(1, 1, 2, 4, 4).requires_grad_()
    loss = loss_of(logits, torch.ones(1, 1, 2, 4, 4), torch.zeros(1, 1, 2, 4, 4), boundary=1.0)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_voxel_of_weight_two_counts_as_two() -> None:
    truth = ball()
    logits = noise(*truth.shape, seed=2)
    twice = torch.cat([logits, logits, logits]), torch.cat([truth, truth, truth])
    once = torch.cat([logits, logits]), torch.cat([truth, truth])
    weight = torch.cat([2 * torch.ones_like(truth), torch.ones_like(truth)])
    assert loss_of(*once, weight).item() == pytest.approx(loss_of(*twice).item(), rel=1e-5)


def test_a_soft_label_is_what_labels_drawn_by_lot_make_on_average() -> None:
    """By hand: entropy, overlap and size, each averaged over all ways four voxels may fall."""
    chance, logits = small([0.1, 0.5, 0.8, 1.0]), small([-1.0, 0.3, 2.0, 0.7])
    p = logits.sigmoid()
    entropy = overlap = size = 0.0
    for labels in product((0.0, 1.0), repeat=4):
        drawn = small(list(labels))
        odds = torch.where(drawn > 0, chance, 1 - chance).prod()
        entropy += odds * -torch.where(drawn > 0, p, 1 - p).log().mean()
        overlap += odds * 2 * (p * drawn).sum()
        size += odds * (p.sum() + drawn.sum())
    wanted = entropy + 1 - (overlap + 1) / (size + 1)
    assert loss_of(logits, chance).item() == pytest.approx(float(wanted), rel=1e-5)

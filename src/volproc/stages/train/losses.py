"""The loss that training minimises, and the score it reports."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool3d

BORDER_VOXELS = 2
"""How near to an object's surface a voxel is on its border."""


def bce_dice(
    logits: Tensor,
    ground_truth: Tensor,
    weight: Tensor | None = None,
    *,
    border_weight: float = 0.0,
) -> Tensor:
    """Mean cross entropy plus 1 - soft Dice of the whole batch; all (N, classes, slices, H, W).

    `ground_truth` is the probability of an object: 0 or 1, or between where people disagree.
    `weight` is that of each voxel in both terms; one of weight 0 has no effect. Voxels on a border
    weigh 1 + `border_weight` times as much. Dice is of the batch, not per plane, where planes
    without foreground would dominate.
    """
    counts = torch.ones_like(ground_truth) if weight is None else weight
    weight = counts * (1 + border_weight * on_border(ground_truth, counts > 0))
    probability = logits.sigmoid()
    overlap = 2 * (weight * probability * ground_truth).sum() + 1
    dice = overlap / ((weight * probability).sum() + (weight * ground_truth).sum() + 1)
    entropy = binary_cross_entropy_with_logits(logits, ground_truth, weight=weight, reduction="sum")
    return entropy / weight.sum().clamp(min=1) + 1 - dice


def on_border(ground_truth: Tensor, counts: Tensor) -> Tensor:
    """1 where a voxel of the other kind is within `BORDER_VOXELS`, in other slices too, else 0.

    Only voxels that count are considered. Where people disagree the value is in between.
    """
    side = 2 * BORDER_VOXELS + 1
    inside, outside = ground_truth * counts, (1 - ground_truth) * counts
    grown = max_pool3d(inside, side, 1, BORDER_VOXELS)
    shrunk = 1 - max_pool3d(outside, side, 1, BORDER_VOXELS)
    return (grown - shrunk).clamp(min=0)


def dice_counts(logits: Tensor, ground_truth: Tensor) -> tuple[int, int]:
    """Twice the overlap, and the sum of both sizes, in pixels: Dice is their ratio; both add up."""
    found = logits > 0
    real = ground_truth > 0.5
    return 2 * int(torch.sum(found & real)), int(found.sum()) + int(real.sum())

"""What training makes small, and the score it reports."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool3d

BORDER_VOXELS = 2
"""How near to an object's surface a voxel is on its border."""


def bce_dice(
    logits: Tensor, truth: Tensor, weight: Tensor | None = None, *, border_weight: float = 0.0
) -> Tensor:
    """Mean cross entropy plus 1 - soft Dice of the whole batch; all of one shape.

    `truth` is the probability of an object: 0 or 1, or between where people disagree. `weight`
    is what a voxel counts, in both; one of weight 0 changes nothing. Voxels on a border count
    1 + `border_weight` times. Dice over the batch, not per plane: planes without foreground
    would otherwise decide.
    """
    counts = torch.ones_like(truth) if weight is None else weight
    weight = counts * (1 + border_weight * on_border(truth, counts > 0))
    probability = logits.sigmoid()
    overlap = 2 * (weight * probability * truth).sum() + 1
    dice = overlap / ((weight * probability).sum() + (weight * truth).sum() + 1)
    entropy = binary_cross_entropy_with_logits(logits, truth, weight=weight, reduction="sum")
    return entropy / weight.sum().clamp(min=1) + 1 - dice


def on_border(truth: Tensor, counts: Tensor) -> Tensor:
    """1 where another kind of voxel is within `BORDER_VOXELS`, across slices too, else 0.

    Only voxels that count are looked at. Where people disagree it lies between.
    """
    side = 2 * BORDER_VOXELS + 1
    inside, outside = truth * counts, (1 - truth) * counts
    grown = max_pool3d(inside[:, None], side, 1, BORDER_VOXELS)
    shrunk = 1 - max_pool3d(outside[:, None], side, 1, BORDER_VOXELS)
    return (grown - shrunk).clamp(min=0)[:, 0]


def dice_counts(logits: Tensor, truth: Tensor) -> tuple[int, int]:
    """Twice the overlap, and both sizes together, in pixels: Dice is their ratio; both add up."""
    found = logits > 0
    real = truth > 0.5
    return 2 * int(torch.sum(found & real)), int(found.sum()) + int(real.sum())

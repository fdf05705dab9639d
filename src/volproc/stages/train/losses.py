"""What training makes small, and the score it reports."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool3d

BORDER_VOXELS = 2
"""How near to an object's surface a voxel is on its border."""


def bce_dice(logits: Tensor, truth: Tensor, *, border_weight: float = 0.0) -> Tensor:
    """Mean cross entropy plus 1 - soft Dice of the whole batch; `truth` is 0 or 1, same shape.

    Dice over the batch, not per plane: planes without foreground would otherwise decide.
    Voxels on a border count 1 + `border_weight` times in both.
    """
    weight = 1 + border_weight * on_border(truth)
    probability = logits.sigmoid()
    overlap = 2 * (weight * probability * truth).sum() + 1
    dice = overlap / ((weight * probability).sum() + (weight * truth).sum() + 1)
    entropy = binary_cross_entropy_with_logits(logits, truth, weight=weight, reduction="sum")
    return entropy / weight.sum() + 1 - dice


def on_border(truth: Tensor) -> Tensor:
    """1 where another kind of voxel is within `BORDER_VOXELS`, across slices too, else 0."""
    side = 2 * BORDER_VOXELS + 1
    grown = max_pool3d(truth[:, None], side, 1, BORDER_VOXELS)
    shrunk = -max_pool3d(-truth[:, None], side, 1, BORDER_VOXELS)
    return (grown - shrunk)[:, 0]


def dice_counts(logits: Tensor, truth: Tensor) -> tuple[int, int]:
    """Twice the overlap, and both sizes together, in pixels: Dice is their ratio; both add up."""
    found = logits > 0
    real = truth > 0.5
    return 2 * int(torch.sum(found & real)), int(found.sum()) + int(real.sum())

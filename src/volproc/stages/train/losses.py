"""What training makes small, and the score it reports."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def bce_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean cross entropy plus 1 - soft Dice of the whole batch; `truth` is 0 or 1, same shape.

    Dice over the batch, not per plane: planes without foreground would otherwise decide.
    """
    probability = logits.sigmoid()
    overlap = 2 * (probability * truth).sum() + 1
    dice = overlap / (probability.sum() + truth.sum() + 1)
    return binary_cross_entropy_with_logits(logits, truth) + 1 - dice


def dice_counts(logits: Tensor, truth: Tensor) -> tuple[int, int]:
    """Twice the overlap, and both sizes together, in pixels: Dice is their ratio; both add up."""
    found = logits > 0
    real = truth > 0.5
    return 2 * int(torch.sum(found & real)), int(found.sum()) + int(real.sum())

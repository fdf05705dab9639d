"""The loss that training minimises: per class, from sums that add up over batches and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from volproc.grid.box import Shape, each
from volproc.stages.inference.tiling import AXES, along
from volproc.stages.train.batch import Batch

BORDER_VOXELS = 2
"""How near to a surface a voxel is on the border, where nobody says it in nm."""
NEXT: Shape = (1, 1, 1)


def alone(sums: Tensor) -> Tensor:
    """The sums of all processes, where there is one."""
    return sums


@dataclass(frozen=True)
class Loss:
    """Cross entropy plus 1 - soft Dice of each class, the mean of the classes that are there.

    A class is there if some voxel of the batch counts for it. Voxels within `border_nm` of a
    surface weigh 1 + `border_weight` times as much. `boundary` times 1 - the F score of soft
    boundaries is added (Bokhovkin and Burnaev, ISNN 2019): the share of the predicted boundary
    within `border_nm` of the true one, and the other way round.
    """

    voxel_nm: tuple[float, float, float]
    """Of the model's grid, (z, y, x)."""
    border_weight: float = 0.0
    border_nm: float = 0.0
    """0 is `BORDER_VOXELS` along every axis."""
    boundary: float = 0.0

    def __call__(
        self,
        logits: Tensor,
        batch: Batch,
        axes: Sequence[int],
        together: Callable[[Tensor], Tensor] = alone,
    ) -> Tensor:
        """The loss of logits (N, classes, slices_out, H, W).

        `axes` are those along which each of the N patches is viewed; `together` gives the sums of
        all processes that share the batch.
        """
        whole = logits, batch.target, batch.weight
        parts = [self._sums(*patches_at(n, whole), reach) for n, reach in self._views(axes)]
        losses, there = self._per_class(together(torch.stack(parts).sum(0)))
        return (losses * there).sum() / there.sum().clamp(min=1)

    def reach(self, axis: int) -> Shape:
        """Voxels (depth, height, width) within `border_nm`, viewed along `axis`."""
        if not self.border_nm:
            return (BORDER_VOXELS,) * 3
        # 1e-6: 100 nm are two voxels of 50 nm, whatever the division leaves
        voxels = each(lambda nm: int(self.border_nm / nm + 1e-6), self.voxel_nm)
        return along(AXES[axis], voxels)

    def _views(self, axes: Sequence[int]) -> Iterator[tuple[list[int], Shape]]:
        """The numbers of the patches that have the same reach, and the reach."""
        reaches = [self.reach(axis) for axis in axes]
        for reach in dict.fromkeys(reaches):
            yield [n for n, own in enumerate(reaches) if own == reach], reach

    def _sums(self, logits: Tensor, target: Tensor, weight: Tensor, reach: Shape) -> Tensor:
        """Of each class everything that `_per_class` needs: (classes, sums)."""
        if self.border_weight:
            weight = weight * (1 + self.border_weight * on_border(target, weight > 0, reach))
        probability = logits.sigmoid()
        entropy = binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="none")
        parts = [entropy, weight, weight * probability * target, weight * probability]
        parts.append(weight * target)
        if self.boundary:
            counts = (weight > 0).to(weight.dtype)
            found, true = boundary(probability, counts), boundary(target, counts)
            near_true, near_found = highest_within(true, reach), highest_within(found, reach)
            parts += [weight * part for part in (found * near_true, found, true * near_found, true)]
        return torch.stack([part.sum((0, 2, 3, 4)) for part in parts], dim=1)

    def _per_class(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each class, and 1 where it is there, else 0."""
        entropy, weight, overlap, found, true, *of_boundary = sums.unbind(dim=1)
        dice = (2 * overlap + 1) / (found + true + 1)
        losses = entropy / weight.clamp(min=1) + 1 - dice
        if of_boundary:
            near_true, found, near_found, true = of_boundary
            precision, recall = (near_true + 1) / (found + 1), (near_found + 1) / (true + 1)
            losses = losses + self.boundary * (1 - 2 * precision * recall / (precision + recall))
        return losses, (weight > 0).to(losses.dtype)


Parts = tuple[Tensor, Tensor, Tensor]
"""Logits, target and weight of patches."""


def patches_at(places: Sequence[int], parts: Parts) -> Parts:
    """The patches at `places` of parts (N, ...); all of them as they are."""
    logits, target, weight = parts
    if len(places) == len(logits):
        return parts
    there = logits.device
    # pinned: for a list torch would make a copy to a GPU for which the host waits
    index = torch.tensor(places, pin_memory=there.type == "cuda").to(there, non_blocking=True)
    return logits[index], target[index], weight[index]


def on_border(target: Tensor, counts: Tensor, reach: Shape) -> Tensor:
    """1 where a voxel of the other kind is in `reach`, in other slices too, else 0; (..., S, H, W).

    Only voxels that count are considered. Where people disagree the value is in between.
    """
    grown = highest_within(target * counts, reach)
    shrunk = 1 - highest_within((1 - target) * counts, reach)
    return (grown - shrunk).clamp(min=0)


def boundary(probability: Tensor, counts: Tensor) -> Tensor:
    """How much a voxel is inside, with one beside it that is outside: 0 to 1, (..., S, H, W).

    Only voxels that count are considered.
    """
    outside = 1 - probability
    return counts * (highest_within(outside * counts, NEXT) - outside)


def highest_within(values: Tensor, reach: Shape) -> Tensor:
    """The highest value in a box of `reach` voxels to all sides, of values from 0 on.

    Not max_pool3d: on a GPU its backward pass adds in any order.
    """
    for dim, far in zip((-3, -2, -1), reach, strict=True):
        far = min(far, values.shape[dim] - 1)
        if far:
            sides = [0, 0] * (-dim - 1) + [far, far]
            values = pad(values, sides).unfold(dim, 2 * far + 1, 1).amax(-1)
    return values

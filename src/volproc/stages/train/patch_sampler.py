"""The patches of a training step: a pure function of the seed and the step's number.

There is no state between steps, so an interrupted training resumes with exactly the patches that
it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from volproc.grid.blocks import reflected
from volproc.grid.box import Shape, each
from volproc.model.weights import NetworkSpec
from volproc.stages.train import augmentation
from volproc.stages.train.batch import Batch
from volproc.stages.train.pairs import Pair

SECTION_AXIS = 0
"""The cutting direction: sections are planes across z."""
FULL_WEIGHT = 0.999
"""Share of a warped voxel that must come from voxels that count."""

Patch = tuple[Tensor, Tensor, Tensor]
"""Planes, ground truth and weight: (slices, patch, patch), the last two of the central slices."""


@dataclass(frozen=True)
class Sampler:
    """Batches for a network of `spec`: half of the patches anywhere, half on a surface."""

    pairs: Sequence[Pair]
    weights: tuple[float, ...]
    """How often each pair is drawn, relative to the others."""
    spec: NetworkSpec
    patch: int
    """Height and width of a patch in pixels."""
    batch: int
    """Patches per step."""
    seed: int

    def __call__(self, step: int) -> Batch:
        """Planes (batch, slices_in, ...); ground truth and weight (batch, 1, slices_out, ...)."""
        rng = np.random.default_rng([self.seed, step])
        patches = zip(*(self._patch(rng) for _ in range(self.batch)), strict=True)
        planes, ground_truth, weight = map(torch.stack, patches)
        return Batch(planes, ground_truth[:, None], weight[:, None])

    def _patch(self, rng: np.random.Generator) -> Patch:
        share = np.asarray(self.weights) / sum(self.weights)
        pair = self.pairs[rng.choice(len(self.pairs), p=share)]
        axis = int(rng.integers(3))
        shape = each(lambda a: self.spec.slices_in if a == axis else self.patch, range(3))
        image, ground_truth, weight = cut(pair, centre=centre_of(pair, rng), shape=shape)
        block = pair.normalisation.apply(torch.from_numpy(image))
        block = augmentation.shade(block, rng=rng)
        block = augmentation.shade_sections(block, axis=SECTION_AXIS, rng=rng)
        known = (torch.from_numpy(part) for part in (ground_truth, weight) if part is not None)
        parts = torch.stack([block, *known]).movedim(1 + axis, 1)
        planes, *annotated = _warped_together(parts, rng, soft=pair.is_soft)
        planes = augmentation.roughened(augmentation.curved(planes, rng=rng), rng=rng)
        central = slice(self.spec.margin, self.spec.margin + self.spec.slices_out)
        real, counts = (part[central] for part in annotated)
        return planes, real, counts


def _warped_together(parts: Tensor, rng: np.random.Generator, *, soft: bool) -> Patch:
    """Image, ground truth and weight (if any), turned and warped together.

    A voxel that was blended from several counts only if all of these do.
    """
    turned = augmentation.turned(parts, rng=rng)
    seen = [(weight > 0).float() for weight in turned[2:]]
    image, ground_truth, *weights = augmentation.warped(*turned, *seen, rng=rng)
    weight = weights[0] * (weights[1] > FULL_WEIGHT) if seen else torch.ones_like(ground_truth)
    return image, ground_truth if soft else (ground_truth > 0.5).float(), weight


def centre_of(pair: Pair, rng: np.random.Generator) -> Shape:
    """The centre of a patch: half of the time a voxel on a surface, if there are any.

    Otherwise any voxel that counts.
    """
    if len(pair.borders) and rng.random() < 0.5:
        return each(int, pair.borders[rng.integers(len(pair.borders))])
    if len(pair.counted):
        return each(int, pair.counted[rng.integers(len(pair.counted))])
    return each(lambda n: int(rng.integers(n)), pair.image.shape)


def cut(
    pair: Pair, *, centre: Shape, shape: Shape
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """`shape` voxels around `centre` of image, ground truth and weight, mirrored at the border.

    They are moved so that at most an eighth is outside on either side, unless the volume is too
    small. The weight is None if all voxels weigh the same.
    """
    starts = each(_start, centre, shape, pair.image.shape)
    stops = each(lambda a, n: a + n, starts, shape)
    index: Any = np.ix_(*map(reflected, starts, stops, pair.image.shape))
    if min(starts) >= 0 and all(b <= n for b, n in zip(stops, pair.image.shape, strict=True)):
        index = each(slice, starts, stops)
    ground_truth = pair.ground_truth if pair.soft is None else pair.soft
    weight = None if pair.weight is None else share(pair.weight[index])
    return pair.image[index], share(ground_truth[index]), weight


def share(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """False and True, or 0 to 255, as 0 to 1."""
    whole = np.float32(1 if values.dtype == np.bool_ else 255)
    return values.astype(np.float32) / whole


def _start(centre: int, length: int, size: int) -> int:
    low, high = -(length // 8), size - length + length // 8
    return min(max(centre - length // 2, low), high) if low <= high else (size - length) // 2

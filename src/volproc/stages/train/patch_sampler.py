"""Which patches a step sees: a pure function of the seed and the step's number.

Nothing is remembered between steps, so a training that was interrupted goes on with exactly
the patches it would have seen.
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
from volproc.model.unet import UNetSpec
from volproc.stages.train import augmentation
from volproc.stages.train.pairs import Pair

SECTION_AXIS = 0
"""The cutting direction: sections are planes across z."""
ALL_OF_IT = 0.999
"""Share of a moved voxel that must come from voxels that count."""

Patch = tuple[Tensor, Tensor, Tensor]
"""Planes, truth and weight: (slices, patch, patch), the last two of the central slices."""


@dataclass(frozen=True)
class Sampler:
    """Batches for a network of `spec`: half of the patches anywhere, half on a surface."""

    pairs: Sequence[Pair]
    weights: tuple[float, ...]
    """How often each pair is drawn, relative to the others."""
    spec: UNetSpec
    patch: int
    """Height and width of a patch in pixels."""
    batch: int
    """Patches per step."""
    seed: int

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Planes (batch, slices_in, patch, patch); truth and weight (batch, slices_out, ...)."""
        rng = np.random.default_rng([self.seed, step])
        planes, truths, weights = zip(*(self._patch(rng) for _ in range(self.batch)), strict=True)
        return torch.stack(planes), torch.stack(truths), torch.stack(weights)

    def _patch(self, rng: np.random.Generator) -> Patch:
        share = np.asarray(self.weights) / sum(self.weights)
        pair = self.pairs[rng.choice(len(self.pairs), p=share)]
        axis = int(rng.integers(3))
        shape = each(lambda a: self.spec.slices_in if a == axis else self.patch, range(3))
        image, truth, weight = cut(pair, centre=centre_of(pair, rng), shape=shape)
        block = pair.normalisation.apply(torch.from_numpy(image))
        block = augmentation.shade(block, rng=rng)
        block = augmentation.shade_sections(block, axis=SECTION_AXIS, rng=rng)
        parts = [block, *(torch.from_numpy(part) for part in (truth, weight) if part is not None)]
        planes, *known = _moved(torch.stack(parts).movedim(1 + axis, 1), rng, soft=pair.is_soft)
        planes = augmentation.roughened(augmentation.curved(planes, rng=rng), rng=rng)
        central = slice(self.spec.margin, self.spec.margin + self.spec.slices_out)
        real, counts = (part[central] for part in known)
        return planes, real, counts


def _moved(parts: Tensor, rng: np.random.Generator, *, soft: bool) -> Patch:
    """Image, truth and weight (if there is one) turned and warped alike.

    A voxel into which others were blended counts only if all of them do.
    """
    turned = augmentation.turned(parts, rng=rng)
    seen = [(weight > 0).float() for weight in turned[2:]]
    image, truth, *weights = augmentation.warped(*turned, *seen, rng=rng)
    weight = weights[0] * (weights[1] > ALL_OF_IT) if seen else torch.ones_like(truth)
    return image, truth if soft else (truth > 0.5).float(), weight


def centre_of(pair: Pair, rng: np.random.Generator) -> Shape:
    """A voxel for the middle of a patch: every second time one on a surface, if there are any.

    Otherwise one anywhere that counts.
    """
    if len(pair.borders) and rng.random() < 0.5:
        return each(int, pair.borders[rng.integers(len(pair.borders))])
    if len(pair.counted):
        return each(int, pair.counted[rng.integers(len(pair.counted))])
    return each(lambda n: int(rng.integers(n)), pair.image.shape)


def cut(
    pair: Pair, *, centre: Shape, shape: Shape
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """`shape` voxels around `centre` of image, truth and weight, mirrored outside the volume.

    They are moved so that no more than an eighth lies outside on either side, unless the volume
    is smaller still. The weight is None where all voxels count alike.
    """
    starts = each(_start, centre, shape, pair.image.shape)
    stops = each(lambda a, n: a + n, starts, shape)
    index: Any = np.ix_(*map(reflected, starts, stops, pair.image.shape))
    if min(starts) >= 0 and all(b <= n for b, n in zip(stops, pair.image.shape, strict=True)):
        index = each(slice, starts, stops)
    truth = pair.truth if pair.soft is None else pair.soft
    weight = None if pair.weight is None else share(pair.weight[index])
    return pair.image[index], share(truth[index]), weight


def share(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """False and True, or 0 to 255, as 0 to 1."""
    whole = np.float32(1 if values.dtype == np.bool_ else 255)
    return values.astype(np.float32) / whole


def _start(centre: int, length: int, size: int) -> int:
    low, high = -(length // 8), size - length + length // 8
    return min(max(centre - length // 2, low), high) if low <= high else (size - length) // 2

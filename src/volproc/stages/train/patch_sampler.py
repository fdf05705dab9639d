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
from volproc.grid.scale import VoxelNm
from volproc.model.normalisation import Normalisation
from volproc.model.unet import UNetSpec
from volproc.stages.train.augmentation.augmenter import Augmenter
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.batch import Batch, RawPatches
from volproc.stages.train.pairs import Pair


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
    voxel_nm: VoxelNm
    """Of the grid of the pairs."""
    augmentation: AugmentationOptions

    def __call__(self, step: int) -> Batch:
        """Planes (batch, slices_in, ...); ground truth and weight (batch, 1, slices_out, ...)."""
        augmenter = Augmenter(self.augmentation, self.spec, self.seed, self.voxel_nm)
        return augmenter(self.patches(step))

    def patches(self, step: int) -> RawPatches:
        """The patches of a step before anything is changed on them."""
        rng = np.random.default_rng([self.seed, step])
        found = [self._patch(rng) for _ in range(self.batch)]
        images, targets, weights, axes, normalisations = zip(*found, strict=True)
        eight_bit = all(image.dtype == torch.uint8 for image in images)
        return RawPatches(
            planes=torch.stack([image if eight_bit else image.float() for image in images]),
            mean=torch.tensor([one.mean for one in normalisations]),
            std=torch.tensor([one.std for one in normalisations]),
            target=torch.stack(targets)[:, None],
            weight=torch.stack(weights)[:, None],
            axes=axes,
            step=step,
        )

    def _patch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, int, Normalisation]:
        share = np.asarray(self.weights) / sum(self.weights)
        pair = self.pairs[rng.choice(len(self.pairs), p=share)]
        axis = int(rng.integers(3))
        shape = each(lambda a: self.spec.slices_in if a == axis else self.patch, range(3))
        parts = cut(pair, centre=centre_of(pair, rng), shape=shape)
        image, target, weight = (torch.from_numpy(part).movedim(axis, 0) for part in parts)
        return image, target, weight, axis, pair.normalisation


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
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """`shape` voxels around `centre` of image, ground truth and weight, mirrored at the border.

    They are moved so that at most an eighth is outside on either side, unless the volume is too
    small. Ground truth and weight are 0 to 255.
    """
    starts = each(_start, centre, shape, pair.image.shape)
    stops = each(lambda a, n: a + n, starts, shape)
    index: Any = np.ix_(*map(reflected, starts, stops, pair.image.shape))
    if min(starts) >= 0 and all(b <= n for b, n in zip(stops, pair.image.shape, strict=True)):
        index = each(slice, starts, stops)
    ground_truth = pair.ground_truth if pair.soft is None else pair.soft
    target = ground_truth[index]
    weight = np.full(shape, 255, np.uint8) if pair.weight is None else pair.weight[index]
    return pair.image[index], target * np.uint8(255 if pair.soft is None else 1), weight


def _start(centre: int, length: int, size: int) -> int:
    low, high = -(length // 8), size - length + length // 8
    return min(max(centre - length // 2, low), high) if low <= high else (size - length) // 2

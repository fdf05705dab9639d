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
from volproc.model.normalise import Normalisation
from volproc.model.unet import UNetSpec
from volproc.stages.train import augment

SECTION_AXIS = 0
"""The cutting direction: sections are planes across z."""


@dataclass(frozen=True)
class Pair:
    """An image and what it shows, on one grid at the model's voxel size."""

    image: npt.NDArray[Any]
    """(z, y, x), as stored."""
    truth: npt.NDArray[np.bool_]
    """(z, y, x), True in the objects."""
    normalisation: Normalisation
    borders: npt.NDArray[np.int32]
    """Some voxels on the objects' surfaces, (n, 3)."""


def pair_of(
    image: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    *,
    normalisation: Normalisation,
    most: int = 100_000,
) -> Pair:
    """A pair with at most about `most` surface voxels, evenly picked."""
    truth = labels > 0
    edge = np.zeros_like(truth)
    for axis in range(3):
        change = np.diff(truth, axis=axis)
        edge[tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))] |= change
    borders = np.argwhere(edge).astype(np.int32)
    return Pair(image, truth, normalisation, borders[:: max(1, len(borders) // most)])


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

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Planes (batch, slices_in, patch, patch) and truth (batch, slices_out, patch, patch)."""
        rng = np.random.default_rng([self.seed, step])
        planes, truths = zip(*(self._patch(rng) for _ in range(self.batch)), strict=True)
        return torch.stack(planes), torch.stack(truths)

    def _patch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        share = np.asarray(self.weights) / sum(self.weights)
        pair = self.pairs[rng.choice(len(self.pairs), p=share)]
        axis = int(rng.integers(3))
        shape = each(lambda a: self.spec.slices_in if a == axis else self.patch, range(3))
        image, truth = cut(pair, centre=centre_of(pair, rng), shape=shape)
        block = pair.normalisation.apply(torch.from_numpy(image))
        block = augment.shade(block, rng=rng)
        block = augment.shade_sections(block, axis=SECTION_AXIS, rng=rng)
        both = torch.stack([block, torch.from_numpy(truth.astype(np.float32))])
        turned = augment.turned(both.movedim(1 + axis, 1), rng=rng)
        planes, real = augment.warped(turned[0], turned[1], rng=rng)
        planes = augment.roughened(augment.curved(planes, rng=rng), rng=rng)
        margin = self.spec.margin
        return planes, real[margin : margin + self.spec.slices_out]


def centre_of(pair: Pair, rng: np.random.Generator) -> Shape:
    """A voxel for the middle of a patch: every second time one on a surface, if there are any."""
    if len(pair.borders) and rng.random() < 0.5:
        return each(int, pair.borders[rng.integers(len(pair.borders))])
    return each(lambda n: int(rng.integers(n)), pair.image.shape)


def cut(
    pair: Pair, *, centre: Shape, shape: Shape
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """`shape` voxels around `centre` of image and truth, mirrored where they leave the volume.

    They are moved so that no more than an eighth lies outside on either side, unless the volume
    is smaller still.
    """
    starts = each(_start, centre, shape, pair.image.shape)
    stops = each(lambda a, n: a + n, starts, shape)
    if min(starts) >= 0 and all(b <= n for b, n in zip(stops, pair.image.shape, strict=True)):
        inside = each(slice, starts, stops)
        return pair.image[inside], pair.truth[inside]
    index = np.ix_(*map(reflected, starts, stops, pair.image.shape))
    return pair.image[index], pair.truth[index]


def _start(centre: int, length: int, size: int) -> int:
    low, high = -(length // 8), size - length + length // 8
    return min(max(centre - length // 2, low), high) if low <= high else (size - length) // 2

"""Raw patches changed as this process does it until the device does: a batch on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from volproc.model.normalisation import Normalisation
from volproc.model.weights import NetworkSpec
from volproc.stages.train import augmentation
from volproc.stages.train.batch import Batch, RawPatches

FULL_WEIGHT = 0.999
"""Share of a warped voxel that must come from voxels that count."""


def augmented(raw: RawPatches, spec: NetworkSpec, *, seed: int) -> Batch:
    """The batch that the loss takes: a pure function of the patches and (seed, step, number)."""
    parts = (_augmented(raw, number, seed) for number in range(len(raw.planes)))
    planes, target, weight = map(torch.stack, zip(*parts, strict=True))
    central = slice(spec.margin, spec.margin + spec.slices_out)
    return Batch(planes, target[:, :, central], weight[:, :, central])


def _augmented(raw: RawPatches, number: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng([seed, raw.step, raw.first + number, 1])
    constants = Normalisation(float(raw.mean[number]), float(raw.std[number]))
    block = augmentation.shade(constants.apply(raw.planes[number]), rng=rng)
    sections = 0 if raw.axes[number] == 0 else 1
    block = augmentation.shade_sections(block, axis=sections, rng=rng)
    target, weight = (part[number].float() / 255 for part in (raw.target, raw.weight))
    turned = augmentation.turned(
        torch.cat([block[None], target, weight, (weight > 0).float()]), rng=rng
    )
    image, *rest = augmentation.warped(*turned, rng=rng)
    target, weight, seen = torch.stack(rest).chunk(3)
    weight = weight * (seen > FULL_WEIGHT)
    soft = ((raw.target[number] > 0) & (raw.target[number] < 255)).any()
    planes = augmentation.roughened(augmentation.curved(image, rng=rng), rng=rng)
    return planes, target if soft else (target > 0.5).float(), weight

"""Patches to change, and options that change one thing only."""

from __future__ import annotations

import pytest
import torch

from volproc.grid.scale import parse_voxel_nm
from volproc.model.unet_spec import UNetSpec
from volproc.stages.train.augmentation.augmenter import Augmenter
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.batch import Batch, RawPatches

SPEC = UNetSpec(6, 4, (2, 3), classes=2)
SIZE = 37


@pytest.fixture
def spec():
    return SPEC


@pytest.fixture
def raw_patches():
    """raw_patches(axes, image=..., target=..., weight=...): noise and blobs unless given."""

    def made(axes, *, image=None, target=None, weight=None, step=3, first=0):
        count, random = len(axes), torch.Generator().manual_seed(5)
        shape = count, SPEC.slices_in, SIZE, SIZE
        if image is None:
            image = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
        if target is None:
            coarse = torch.rand((count, 2, 3, 5, 5), generator=random)
            field = torch.nn.functional.interpolate(coarse, shape[1:], mode="trilinear")
            target = (field > 0.5).to(torch.uint8) * 255
        if weight is None:
            weight = torch.full((count, 2, *shape[1:]), 255, dtype=torch.uint8)
        return RawPatches(
            planes=image,
            mean=torch.full((count,), 127.5),
            std=torch.full((count,), 60.0),
            target=target,
            weight=weight,
            axes=tuple(axes),
            step=step,
            first=first,
        )

    return made


@pytest.fixture
def augment():
    """augment(raw, kind=strength, ...): what those options alone make of raw patches."""

    def made(raw: RawPatches, *, seed=1, voxel_nm=(8, 8, 8), profile="none", **options) -> Batch:
        changes = AugmentationOptions(profile=profile, **options)
        return Augmenter(changes, SPEC, seed, parse_voxel_nm(voxel_nm))(raw)

    return made

"""Augmentations: changes to a patch that do not change what it shows. Pure functions of `rng`.

Patches are float32 stacks of planes (slices, height, width), normalised to mean 0 and standard
deviation 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from volproc.model.normalisation import CLIP

Rng = np.random.Generator


@dataclass(frozen=True)
class Strengths:
    """The strength of each augmentation, in normalised grey values unless stated."""

    brightness: float = 0.25
    contrast: float = 0.2
    """Of the logarithm of the gain."""
    gamma: float = 0.25
    """Of the logarithm of the exponent."""
    slice_brightness: float = 0.12
    slice_contrast: float = 0.08
    missing: float = 0.06
    """Probability that a section is missing."""
    curves: float = 0.35
    """Probability of drawing curves over the patch."""
    warp: float = 0.4
    """Probability of stretching and bending the planes."""
    bend_pixels: float = 4.0
    blur: float = 0.4
    """Probability of blurring or sharpening."""
    noise: float = 0.25


DEFAULT = Strengths()


def shade_sections(block: Tensor, *, axis: int, rng: Rng, by: Strengths = DEFAULT) -> Tensor:
    """Sections brightened one by one; one may be missing.

    Sections are planes across `axis`, the cutting direction. Applied in the volume's own
    orientation: viewed along another axis a section is a row of pixels.
    """
    sections = block.shape[axis]
    shape = [sections if a == axis else 1 for a in range(3)]
    strength = rng.uniform(0, 2)
    gain = np.exp(rng.normal(0, by.slice_contrast * strength, sections))
    offset = rng.normal(0, by.slice_brightness * strength, sections)
    shaded: Tensor = block * _column(gain, shape) + _column(offset, shape)
    if rng.random() < by.missing:
        lost = torch.tensor([int(rng.integers(sections))])
        value = rng.choice([-CLIP, 0.0, CLIP])
        shaded.index_fill_(axis, lost, float(value))
    return shaded


def _column(values: np.ndarray, shape: list[int]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def shade(block: Tensor, *, rng: Rng, by: Strengths = DEFAULT) -> Tensor:
    """The whole patch with another brightness, contrast and gamma."""
    exponent = float(np.exp(rng.normal(0, by.gamma)))
    # gamma on the range in which almost all values lie, so that it bends but hardly shifts
    unit = ((block + CLIP) / (2 * CLIP)).clamp(0, 1)
    bent = unit.pow(exponent) * (2 * CLIP) - float(0.5**exponent) * (2 * CLIP)
    return bent * float(np.exp(rng.normal(0, by.contrast))) + float(rng.normal(0, by.brightness))


def turned(planes: Tensor, *, rng: Rng) -> Tensor:
    """The last three axes mirrored at random, height and width swapped or not."""
    axes = [axis for axis in (-3, -2, -1) if rng.random() < 0.5]
    flipped = planes.flip(axes) if axes else planes
    return flipped.transpose(-2, -1) if rng.random() < 0.5 else flipped


def warped(*parts: Tensor, rng: Rng, by: Strengths = DEFAULT) -> tuple[Tensor, ...]:
    """Sometimes stretched and bent in the plane: stacks of planes, all of them alike."""
    if rng.random() >= by.warp:
        return parts
    height, width = size = parts[0].shape[1:]
    zoom = rng.uniform(0.8, 1.12, 2)
    bends = torch.from_numpy(rng.normal(0, by.bend_pixels, (1, 2, 5, 5)).astype(np.float32))
    shift = functional.interpolate(bends, size=size, mode="bicubic", align_corners=True)
    rows = (_from_middle(height)[:, None] * float(zoom[0]) + shift[0, 0]) * (2 / height)
    columns = (_from_middle(width)[None, :] * float(zoom[1]) + shift[0, 1]) * (2 / width)
    grid = torch.stack([columns, rows], dim=-1)[None]
    both = torch.cat(parts)[None]
    moved = functional.grid_sample(both, grid, padding_mode="reflection", align_corners=False)[0]
    return torch.split(moved, [len(part) for part in parts])


def _from_middle(size: int) -> Tensor:
    return torch.arange(size, dtype=torch.float32) - (size - 1) / 2


def curved(planes: Tensor, *, rng: Rng, by: Strengths = DEFAULT) -> Tensor:
    """Smooth closed surfaces drawn over the patch: saturated, or smeared as if retouched.

    Some recovered images have such curves along nuclei. Drawn anywhere, they mean nothing.
    """
    if rng.random() >= by.curves:
        return planes
    coarse = rng.normal(size=(1, 1, int(rng.integers(2, 4)), *rng.integers(3, 8, 2)))
    field = functional.interpolate(
        torch.from_numpy(coarse.astype(np.float32)),
        size=planes.shape,
        mode="trilinear",
        align_corners=True,
    )[0, 0]
    inside = field > float(rng.normal(0, 0.3))
    wide = int(rng.integers(2, 5))
    band = (inside ^ inside.roll(wide, 1)) | (inside ^ inside.roll(wide, 2))
    if rng.random() < 0.6:
        return torch.where(band, float(rng.uniform(1.8, 3.2)), planes)
    rows = functional.avg_pool2d(planes[None], (9, 1), 1, (4, 0))
    return torch.where(band, functional.avg_pool2d(rows, (1, 9), 1, (0, 4))[0], planes)


def roughened(planes: Tensor, *, rng: Rng, by: Strengths = DEFAULT) -> Tensor:
    """Blurred or sharpened a little, with noise, kept within the clipping range."""
    if rng.random() < by.blur:
        soft = functional.avg_pool2d(planes[None], 3, 1, 1, count_include_pad=False)[0]
        planes = torch.lerp(planes, soft, float(rng.uniform(-0.5, 1.0)))
    if rng.random() < 0.5:
        grain = torch.from_numpy(rng.standard_normal(planes.shape, dtype=np.float32))
        planes = planes + grain * float(rng.uniform(0, by.noise))
    return planes.clamp(-CLIP, CLIP)

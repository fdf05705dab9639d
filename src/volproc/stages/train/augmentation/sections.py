"""What goes wrong with sections: shaded, repeated, shifted, charged or missing ones.

All of it along the cutting direction: viewed along z a section is a slice of a patch, viewed along
another axis it is a row. Patches are changed in place, one after another where few are: that takes
a tenth of the time of index arithmetic for the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from volproc.model.normalisation import CLIP
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.augmentation.streams import Rng, Streams
from volproc.stages.train.augmentation.views import Views, table

CHARGED = 0.3
"""Share of the sections that have a stripe, where there are any."""


def shade_sections(
    planes: Tensor, views: Views, streams: Streams, options: AugmentationOptions
) -> None:
    """Brighten sections one by one, in some patches more than in others."""
    spreads = np.array([[options.section_contrast], [options.section_brightness]])
    rngs = streams("section shading", 1.0 if spreads.any() else 0.0).values()
    if not rngs:
        return
    most = max(planes.shape[1:3])
    drawn = [rng.uniform(0, 2) * spreads * rng.standard_normal((2, most)) for rng in rngs]
    gain, offset = (
        views.by_section(values, planes)
        for values in table([np.stack([np.exp(a), b]) for a, b in drawn], planes).unbind(1)
    )
    planes.mul_(gain).add_(offset)


def repeat_sections(planes: Tensor, views: Views, streams: Streams, probability: float) -> None:
    """Let a section of some patches show what the one before it does."""
    for place, rng in streams("repeated", probability).items():
        patch, dim = planes[place], views.section_dim(place)
        if patch.shape[dim] > 1:
            section = int(rng.integers(1, patch.shape[dim]))
            patch.select(dim, section).copy_(patch.select(dim, section - 1))


def blank_sections(planes: Tensor, views: Views, streams: Streams, probability: float) -> None:
    """Make a section of some patches all white, grey or black."""
    for place, rng in streams("missing", probability).items():
        patch, dim = planes[place], views.section_dim(place)
        section = int(rng.integers(patch.shape[dim]))
        patch.select(dim, section).fill_(float(rng.choice([-CLIP, 0.0, CLIP])))


def charge_sections(
    planes: Tensor, views: Views, streams: Streams, options: AugmentationOptions
) -> None:
    """Draw stripes along x, the fast direction of the scan, into some sections of some patches.

    A stripe is the same all along a line of the scan: a number per section and line. Viewed along
    z lines are rows, along y slices, along x columns.
    """
    depth, height, width = planes.shape[1:]
    shapes = (depth, height), (height, depth), (height, width)  # sections and lines, by axis
    for place, rng in streams("charging", options.charging).items():
        axis = views.axes[place]
        stripes = options.charging_brightness * _stripes(*shapes[axis], rng)
        (lines,) = table([stripes], planes)
        planes[place] += (lines[:, :, None], lines.T[:, :, None], lines[None])[axis]


def _stripes(sections: int, lines: int, rng: Rng) -> np.ndarray:
    """(sections, lines): a bright stripe with a dark edge in some sections, up to 1 or more."""
    each = sections, 1
    far = (np.arange(lines) - rng.uniform(0, lines, each)) / rng.uniform(2, 10, each)
    profile = np.exp(-(far**2) / 2) - 0.5 * np.exp(-((far - 2) ** 2) / 2)
    charged = rng.random(each) < CHARGED
    return charged * np.abs(rng.standard_normal(each)) * profile


def shift_sections(
    parts: Sequence[Tensor], views: Views, streams: Streams, options: AugmentationOptions
) -> None:
    """Shift sections of some patches of parts (N, ..., D, H, W), mirrored at the border.

    A section, or all from one on. What a shift moves along the view is out of sight.
    """
    for place, rng in streams("shifted", options.shifted).items():
        dim = views.section_dim(place)
        sections = parts[0].shape[dim]
        start = int(rng.integers(sections))
        count = 1 if rng.random() < 0.5 else sections - start
        down, across = np.rint(rng.normal(0, options.shift_voxels, 2)).astype(int).tolist()
        for part in parts:
            moving = part[place].narrow(dim, start, count)
            moving.copy_(_moved(moving, down if dim == -3 else 0, across))


def _moved(part: Tensor, down: int, across: int) -> Tensor:
    """(..., H, W) shifted by whole pixels."""
    height, width = part.shape[-2:]
    rows = _mirrored(torch.arange(height, device=part.device) - down, height)
    columns = _mirrored(torch.arange(width, device=part.device) - across, width)
    return part.index_select(-2, rows).index_select(-1, columns)


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Indices beyond the border as those inside, the first and the last voxel not twice."""
    period = max(1, 2 * (size - 1))
    inside = index.remainder(period)
    return torch.minimum(inside, period - inside)

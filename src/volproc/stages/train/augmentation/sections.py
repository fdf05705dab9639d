"""What goes wrong with sections: shaded, repeated, shifted, charged or missing ones.

All of it along the cutting direction: viewed along z a section is a slice of a patch, viewed along
another axis it is a row. Planes are (N, D, H, W).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from volproc.model.normalisation import CLIP
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.augmentation.streams import Rng, Streams
from volproc.stages.train.augmentation.views import Views, changed, column, table

CHARGED = 0.3
"""Share of the sections that have a stripe, where there are any."""


def shade_sections(
    planes: Tensor, views: Views, streams: Streams, options: AugmentationOptions
) -> Tensor:
    """Sections brightened one by one, in some patches more than in others."""
    spreads = options.section_contrast, options.section_brightness
    rngs = streams("section shading", 1.0 if any(spreads) else 0.0).values()
    if not rngs:
        return planes
    most = max(planes.shape[1:3])
    drawn = [rng.uniform(0, 2) * rng.standard_normal((2, most)) for rng in rngs]
    gain, offset = (
        views.by_section(values, planes)
        for values in table([one * np.array(spreads)[:, None] for one in drawn], planes).unbind(1)
    )
    return planes * gain.exp() + offset


def repeat_sections(planes: Tensor, views: Views, streams: Streams, probability: float) -> Tensor:
    """In some patches a section that shows what the one before it does."""
    rngs = streams("repeated", probability)
    places = {place: _one_of(views.sections(place, planes) - 1, rng) for place, rng in rngs.items()}

    def repeat(some: Tensor) -> Tensor:
        slices, rows = (
            torch.arange(n, device=some.device).repeat(len(some), 1) for n in some.shape[1:3]
        )
        for number, (place, section) in enumerate(places.items()):
            (slices if views.axes[place] == 0 else rows)[number, section + 1] = section
        again = some.take_along_dim(slices[:, :, None, None], 1)
        return again.take_along_dim(rows[:, None, :, None], 2)

    return changed(planes, places, repeat)


def blank_sections(planes: Tensor, views: Views, streams: Streams, probability: float) -> Tensor:
    """In some patches a section of one value: white, grey or black."""
    rngs = streams("missing", probability)
    values = [float(rng.choice([-CLIP, 0.0, CLIP])) for rng in rngs.values()]
    marks = [
        np.arange(max(planes.shape[1:3])) == _one_of(views.sections(place, planes), rng)
        for place, rng in rngs.items()
    ]

    def blank(some: Tensor) -> Tensor:
        lost = views[rngs].by_section(table(marks, some), some) > 0
        return torch.where(lost, column(values, some), some)

    return changed(planes, rngs, blank)


def charge_sections(
    planes: Tensor, views: Views, streams: Streams, options: AugmentationOptions
) -> Tensor:
    """In some patches stripes along x, the fast direction of the scan, in some of the sections.

    A stripe is the same all along a line of the scan: a number per section and line. Viewed along
    z lines are rows, along y slices, along x columns.
    """
    rngs = streams("charging", options.charging)
    most = max(planes.shape[1:])
    drawn = [options.charging_brightness * _stripes(most, rng) for rng in rngs.values()]

    def charge(some: Tensor) -> Tensor:
        depth, height, width = some.shape[1:]
        out = some.clone()
        for number, (place, lines) in enumerate(zip(rngs, table(drawn, some), strict=True)):
            by_axis = (
                lines[:depth, :height, None],
                lines[:height, :depth].T[:, :, None],
                lines[None, :height, :width],
            )
            out[number] += by_axis[views.axes[place]]
        return out

    return changed(planes, rngs, charge)


def _stripes(size: int, rng: Rng) -> np.ndarray:
    """(sections, lines): a bright stripe with a dark edge in some sections, up to 1 or more."""
    lines = np.arange(size)
    centre, width = rng.uniform(0, size, (size, 1)), rng.uniform(2, 10, (size, 1))
    far = (lines - centre) / width
    profile = np.exp(-(far**2) / 2) - 0.5 * np.exp(-((far - 2) ** 2) / 2)
    charged = rng.random((size, 1)) < CHARGED
    return charged * np.abs(rng.standard_normal((size, 1))) * profile


def shift_sections(
    parts: tuple[Tensor, ...], views: Views, streams: Streams, options: AugmentationOptions
) -> tuple[Tensor, ...]:
    """Parts (N, K, D, H, W) in some of whose patches sections lie shifted, mirrored at the border.

    A section, or all from one on. What a shift moves along the view is out of sight.
    """
    rngs = streams("shifted", options.shifted)
    if not rngs:
        return parts
    planes = parts[0][:, 0]
    drawn = [
        _offsets(views.sections(place, planes), max(planes.shape[1:3]), options.shift_voxels, rng)
        for place, rng in rngs.items()
    ]
    rows, columns = table(drawn, planes).unbind(1)
    some = views[rngs]
    along_z = torch.tensor([axis == 0 for axis in some.axes], device=planes.device)
    rows = torch.where(along_z[:, None], rows, 0)[:, : planes.shape[1]]
    across = some.by_section(columns, planes[: len(rngs)])[..., 0]
    return tuple(changed(part, rngs, _moved(rows.long(), across.long())) for part in parts)


def _offsets(sections: int, most: int, spread: float, rng: Rng) -> np.ndarray:
    """Rows and columns by which each of `most` sections is shifted, (2, most); most by none."""
    start = _one_of(sections, rng)
    stop = start + 1 if rng.random() < 0.5 else most
    offsets = np.zeros((2, most))
    offsets[:, start:stop] = np.rint(rng.normal(0, spread, (2, 1)))
    return offsets


def _moved(rows: Tensor, columns: Tensor) -> Callable[[Tensor], Tensor]:
    """Shifts (N, K, D, H, W) by `rows` (N, D) and `columns` (N, D, H) pixels."""

    def move(part: Tensor) -> Tensor:
        height, width = part.shape[-2:]
        down = _mirrored(torch.arange(height, device=part.device) - rows[..., None], height)
        across = _mirrored(torch.arange(width, device=part.device) - columns[..., None], width)
        return part.take_along_dim(down[:, None, ..., None], 3).take_along_dim(across[:, None], 4)

    return move


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Indices beyond the border as those inside, the first and the last voxel not twice."""
    period = max(1, 2 * (size - 1))
    inside = index.remainder(period)
    return torch.minimum(inside, period - inside)


def _one_of(count: int, rng: Rng) -> int:
    return int(rng.integers(max(1, count)))

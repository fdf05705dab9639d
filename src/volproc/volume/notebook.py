"""What a notebook shows of a volume: a small picture and the facts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from io import BytesIO
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolprocError
from volproc.volume.display_window import id_colours, window
from volproc.volume.metadata import Level, VolumeInfo, itemsize

Select = Callable[..., npt.NDArray[Any]]
"""Voxels at a selection of a level."""

MAX_READ_BYTES = 8 * 2**20
"""Decoded for a picture, at the most."""
SIDE = 256
"""Pixels of the longer side of a picture."""


def html_of(info: VolumeInfo, select: Select) -> str:
    """A picture of a middle slice beside a table of what the volume is."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{name}</th><td style='text-align:left'>{text}</td></tr>"
        for name, text in _facts(info)
    )
    try:
        png = base64.b64encode(picture(info, select)).decode()
        seen = f"<img alt='middle slice' src='data:image/png;base64,{png}'>" if png else ""
    except VolprocError as error:
        seen = escape(str(error))
    return f"<table><tr><td>{seen}</td><td><table>{rows}</table></td></tr></table>"


def _facts(info: VolumeInfo) -> list[tuple[str, str]]:
    size = " x ".join(f"{v:g}" for v in info.voxel_nm)
    extent = " x ".join(
        f"{n * v / 1000:.4g}" for n, v in zip(info.shape, info.voxel_nm, strict=True)
    )
    finest = info.levels[0]
    return [
        ("Volume", escape(info.url)),
        (
            "kind",
            f"{info.kind}, {info.dtype}{', channels ' * bool(info.channels)}"
            + escape(", ".join(info.channels)),
        ),
        ("voxels (z, y, x)", " x ".join(map(str, info.shape))),
        ("voxel size", f"{size} nm"),
        ("extent", f"{extent} um"),
        ("chunks, shards", f"{finest.chunks}, {finest.shards}"),
        ("levels", "; ".join(" x ".join(map(str, level.shape)) for level in info.levels)),
        ("bytes, uncompressed", f"{info.nbytes / 1e9:.3g} GB"),
    ]


def picture(info: VolumeInfo, select: Select) -> bytes:
    """A PNG of the middle slice of the finest level of which that is little to read.

    Of the coarsest its middle part, where even that is much; empty where one chunk is.
    """
    from PIL import Image

    per_voxel = itemsize(info.dtype) * max(1, len(info.channels))
    parts = [_part(level, per_voxel) for level in info.levels]
    number = next((n for n, (_, whole) in enumerate(parts) if whole), len(parts) - 1)
    level, part = info.levels[number], parts[number][0]
    if not part:
        return b""
    lead = (0,) if info.channels else ()
    values = select((*lead, level.shape[0] // 2, *part), number)
    if info.kind == "labels":
        pixels = np.where((values != 0)[..., None], id_colours(values), np.uint8(0))
    else:
        pixels = _grey(values, info.window)
    nm = [n * v for n, v in zip(values.shape, level.voxel_nm[1:], strict=True)]
    high, wide = (max(1, round(SIDE * length / max(nm))) for length in nm)
    averaged = Image.Resampling.NEAREST if info.kind == "labels" else Image.Resampling.BOX
    content = BytesIO()
    Image.fromarray(pixels).resize((wide, high), averaged).save(content, "PNG", optimize=True)
    return content.getvalue()


def _part(level: Level, per_voxel: int) -> tuple[tuple[slice, ...], bool]:
    """Rows and columns around the middle, of as many chunks as may be decoded; whether of all."""
    budget = MAX_READ_BYTES // (prod(level.chunks) * per_voxel)
    if budget < 1:
        return (), False
    plane = list(zip(level.shape[1:], level.chunks[1:], strict=True))
    counts = [-(-n // chunk) for n, chunk in plane]
    across = list(counts)
    while prod(across) > budget:
        across[across.index(max(across))] -= 1
    starts = [(of - few) // 2 * c for of, few, (_, c) in zip(counts, across, plane, strict=True)]
    part = (
        slice(start, min(n, start + few * chunk), 1)
        for start, few, (n, chunk) in zip(starts, across, plane, strict=True)
    )
    return tuple(part), across == counts


def _grey(values: npt.NDArray[Any], shown: Any) -> npt.NDArray[np.uint8]:
    ends = shown or window(values)
    low, high = float(ends.start), float(ends.end)
    share = (np.nan_to_num(values.astype(np.float64), nan=low) - low) / max(high - low, 1e-300)
    return np.asarray(np.clip(share, 0, 1) * 255 + 0.5, dtype=np.uint8)

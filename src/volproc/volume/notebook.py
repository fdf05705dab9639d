"""What a notebook shows of a volume: a small picture and the facts."""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolprocError
from volproc.volume.display import id_colours, window
from volproc.volume.metadata import Level

if TYPE_CHECKING:
    from volproc.volume.array_protocol import ArrayProtocol

MAX_READ_BYTES = 4 * 2**20
"""Decoded for a picture, at the most."""
SIDE = 256
"""Pixels of the longer side of a picture, and the least of a level to take it from."""


def html_of(volume: ArrayProtocol) -> str:
    """A picture of a middle slice beside a table of what the volume is."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{name}</th><td style='text-align:left'>{text}</td></tr>"
        for name, text in _facts(volume)
    )
    try:
        png = base64.b64encode(picture(volume)).decode()
        seen = f"<img alt='middle slice' src='data:image/png;base64,{png}'>" if png else ""
    except VolprocError as error:
        seen = escape(str(error))
    return f"<table><tr><td>{seen}</td><td><table>{rows}</table></td></tr></table>"


def _facts(volume: ArrayProtocol) -> list[tuple[str, str]]:
    info = volume.info
    size = " x ".join(f"{v:g}" for v in volume.voxel_nm)
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


def picture(volume: ArrayProtocol) -> bytes:
    """A PNG of a middle slice of a coarse level; its middle part where that is much to read.

    Empty where a single chunk is more than `MAX_READ_BYTES`.
    """
    from PIL import Image

    info = volume.info
    large = [n for n, level in enumerate(info.levels) if max(level.shape[1:]) >= SIDE]
    number = large[-1] if large else 0
    level = info.levels[number]
    part = _part(level, volume.dtype.itemsize * max(1, len(info.channels)))
    if part is None:
        return b""
    lead = (0,) if info.channels else ()
    values = volume.select((*lead, level.shape[0] // 2, *part), number)
    if info.kind == "labels":
        pixels = np.where((values != 0)[..., None], id_colours(values), np.uint8(0))
    else:
        pixels = _grey(values, info.window)
    image = Image.fromarray(pixels)
    nm = [n * v for n, v in zip(values.shape, level.voxel_nm[1:], strict=True)]
    high, wide = (max(1, round(SIDE * length / max(nm))) for length in nm)
    content = BytesIO()
    image.resize((wide, high), Image.Resampling.NEAREST).save(content, "PNG", optimize=True)
    return content.getvalue()


def _part(level: Level, itemsize: int) -> tuple[slice, slice] | None:
    """Rows and columns around the middle, of as many chunks as may be decoded."""
    budget = MAX_READ_BYTES // (prod(level.chunks) * itemsize)
    if budget < 1:
        return None
    across = [-(-n // c) for n, c in zip(level.shape[1:], level.chunks[1:], strict=True)]
    while prod(across) > budget:
        across[across.index(max(across))] -= 1
    ends = []
    for n, chunk, count in zip(level.shape[1:], level.chunks[1:], across, strict=True):
        first = max(0, (-(-n // chunk) - count) // 2) * chunk
        ends.append(slice(first, min(n, first + count * chunk)))
    return ends[0], ends[1]


def _grey(values: npt.NDArray[Any], shown: Any) -> npt.NDArray[np.uint8]:
    ends = shown or window(values)
    low, high = float(ends.start), float(ends.end)
    share = (np.nan_to_num(values.astype(np.float64), nan=low) - low) / max(high - low, 1e-300)
    return np.asarray(np.clip(share, 0, 1) * 255 + 0.5, dtype=np.uint8)

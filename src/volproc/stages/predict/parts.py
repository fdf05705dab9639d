"""A block in halves, for a GPU with too little memory for the whole.

A block of several tiles is cut between two of them. A tile is cut, too: both halves have the
network's whole halo, so that their votes are those of the tile, but for rounding.

    |halo|----------tile----------|halo|
    |halo|---first----|halo|
                 |halo|---second--|halo|
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from volproc.engine.memory import human
from volproc.errors import ModelError
from volproc.grid.box import Box, Shape, each
from volproc.lazy import lazy
from volproc.model.network import Network
from volproc.stages.inference.device_memory import capacity, within_memory
from volproc.stages.inference.tile_size import up
from volproc.stages.inference.tiling import Layout

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

Part = tuple[Box, Layout]
"""Voxels of the layout's grid, and the layout that they are predicted with."""


def in_parts(
    part: Part,
    votes_of: Callable[[Box, Layout], torch.Tensor],
    *,
    fits: Callable[[Box, Layout], bool],
    cut_tiles: bool,
) -> torch.Tensor:
    """The votes of a part (classes, axes, z, y, x): of its halves, on the host, if memory is short.

    `fits` tells where not to try, by estimate. ModelError where the smallest part is too much.
    """
    core, _ = part
    halves = halves_of(*part, cut_tiles=cut_tiles)
    if fits(*part) or not halves:
        votes = within_memory(lambda: votes_of(*part))
        if votes is not None:
            return votes
    if not halves:
        raise _too_little_memory(core)
    found = [in_parts(half, votes_of, fits=fits, cut_tiles=cut_tiles).cpu() for half in halves]
    axis = next(n for n in range(3) if halves[0][0].stop[n] != core.stop[n])
    return torch.cat(found, dim=2 + axis)


def _too_little_memory(core: Box) -> ModelError:
    shape = " x ".join(map(str, core.shape))
    return ModelError(
        f"the GPU has too little memory for {shape} voxels, the smallest part of a block: "
        f"{human(capacity())} of it are free for volproc; close other programs that use it, take "
        'a smaller model, or [predict] device = "cpu"'
    )


def halves_of(core: Box, layout: Layout, *, cut_tiles: bool) -> tuple[Part, Part] | None:
    """Two parts that need less memory each, cut along the longest axis that can be; None: none can.

    `cut_tiles`: whether a tile may be cut as well.
    """
    for n in sorted(range(3), key=lambda axis: -core.shape[axis]):
        step = layout.tile[n]
        if core.shape[n] <= step and cut_tiles:
            step = layout.stride
        cut = _cut(core, n, layout.offset[n], step)
        if core.start[n] < cut < core.stop[n]:
            first = Box(core.start, _with(core.stop, n, cut))
            second = Box(_with(core.start, n, cut), core.stop)
            if not cut_tiles:
                return (first, layout), (second, layout)
            return _part(first, layout, n), _part(second, layout, n)
    return None


def cuts_tiles(layout: Layout, network: Network) -> bool:
    """Whether halves of a tile have its votes: else tiles show, and stay as they are."""
    return layout.halo >= network.halo


def smallest_part(core: Box, layout: Layout, axes: str, *, cut_tiles: bool) -> Part:
    """What is left of a block where there is memory for nothing more: that with most around it."""
    part = core, layout
    while halves := halves_of(*part, cut_tiles=cut_tiles):
        part = max(halves, key=lambda half: half[1].window(half[0], axes).size)
    return part


def _cut(core: Box, n: int, offset: int, step: int) -> int:
    """The multiple of `step`, from `offset` on, that is next to the middle of the core."""
    middle = (core.start[n] + core.stop[n]) // 2 - offset
    return (middle + step // 2) // step * step + offset


def _part(core: Box, layout: Layout, n: int) -> Part:
    """With tiles no longer along axis `n` than what is predicted of them."""
    start = core.start[n] // layout.stride * layout.stride
    length = min(layout.tile[n], up(core.stop[n] - start, layout.stride))
    if length == layout.tile[n]:
        return core, layout
    tile, offset = (_with(layout.tile, n, length), _with(layout.offset, n, start % length))
    return core, replace(layout, tile=tile, offset=offset)


def _with(triple: Shape, n: int, value: int) -> Shape:
    return each(lambda axis: value if axis == n else triple[axis], range(3))

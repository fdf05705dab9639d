"""The tiles for a volume and a network: nothing else decides, so every run has the same."""

from __future__ import annotations

from volproc.errors import ConfigError
from volproc.grid.box import Box, Shape, each, whole_box
from volproc.stages.inference.tile_size import choose_tile, up
from volproc.stages.inference.tiling import Layout

BORDER_STRIDES = 1
"""Mirrored voxels at the volume's border, in strides of the network; more is no better."""


def lay_out(
    shape: Shape,
    *,
    halo: int,
    stride: int,
    slices_in: int,
    slices_out: int,
    tile: Shape | None = None,
    most: int | None = None,
    box: Box | None = None,
    classes: int = 1,
) -> Layout:
    """Tiles for a volume of `shape`: `tile` rounded up to the stride, or the cheapest.

    `halo` is a multiple of the stride; `most` is the longest side of a tile that the network
    takes, without the halo. ConfigError if `tile` is longer. Nothing but volume and network
    decides, so every run has the same tiles; but where only a `box` is predicted, tiles that are
    not stated suit the box, and begin with it.
    """
    box = box or whole_box(shape)
    first = each(lambda a: a // stride * stride, box.start)
    border = BORDER_STRIDES * stride
    if tile:
        chosen = each(lambda t: up(t, stride), tile)
    else:
        chosen = choose_tile(
            each(lambda b, a: b - a, box.stop, first),
            halo=halo,
            border=border,
            stride=stride,
            slices_out=slices_out,
            most=most,
            classes=classes,
        )
    if tile and most and max(chosen) > most:
        raise ConfigError(
            f"[predict] tile = {list(tile)}: with its halo of {halo} pixels on either side the "
            f"network takes no more than {most}; make it smaller or leave it out"
        )
    chosen = each(min, chosen, each(lambda n: up(n, stride), shape))
    offset = (0, 0, 0) if tile else each(lambda a, t: a % t, first, chosen)
    return Layout(shape, chosen, halo, border, stride, slices_in, slices_out, offset)

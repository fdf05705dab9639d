"""Where a prediction's tiles and blocks lie: all that follows from volume, network and options.

    axes ─▶ halo ─▶ tile ─▶ layout ─▶ block ─▶ shard

Where only a box of the volume is predicted, tiles and blocks suit the box; they are laid out on the
grid of the whole volume all the same.

[predict] halo is "exact" (what the network needs), a number of pixels, or "reference", the
published overlap, for comparisons. It has patches of 256 x 256 pixels that keep their middle:

    |----64----|--------128--------|----64----|     along both sides of a plane
    |----3-----|---------6---------|----3-----|     along the viewing axis, of 12 slices

Every such patch is whole: beyond the volume's border it sees the volume mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

from volproc.errors import ConfigError, ModelError
from volproc.grid.box import Box, Shape, each
from volproc.model.network import Network
from volproc.stages.inference.layout import lay_out
from volproc.stages.inference.tile_size import shard_of, up
from volproc.stages.inference.tiling import Layout
from volproc.stages.predict.options import PredictOptions

PATCH = 256
KEPT = 128
MIN_BLOCK = 128
"""Networks that take small tiles only get blocks of several, of up to this many voxels a side."""


@dataclass(frozen=True)
class Geometry:
    """The viewing axes, the tiles, the voxels of a block, and those of a shard."""

    axes: str
    layout: Layout
    block: Shape

    def shard(self, channels: int) -> Shape:
        """The block, or an equal part of it, for a volume of so many channels."""
        return shard_of(self.block, channels)

    @property
    def notes(self) -> tuple[str, ...]:
        """One for each viewing axis along which there are fewer planes than the model reads."""
        read, axes = self.layout.slices_in, self.axes
        alone = ", and it is viewed along this axis alone unless axes are stated" * (len(axes) == 1)
        return tuple(
            f"reads {read} planes, along {axis} the volume has {planes} at the model's voxel size: "
            f"the others are mirrored ones{alone}"
            for axis in axes
            if (planes := self.layout.shape["zyx".index(axis)]) < read
        )


def choose(
    shape: Shape,
    network: Network,
    options: PredictOptions,
    box: Box | None = None,
    classes: int = 1,
) -> Geometry:
    """The geometry for a volume of `shape` at the network's voxel size, or a `box` of it.

    So many `classes` are predicted.

    ConfigError or ModelError where the options and the network do not fit.
    """
    axes, size = _viewing_axes(shape, network, options), box.shape if box else shape
    if options.halo == "reference":
        layout = _published(shape, network, options)
        # as large as a tile would be chosen, of whole patches
        many = lay_out(size, halo=0, stride=KEPT, slices_in=1, slices_out=1, classes=classes).tile
        return Geometry(axes, layout, options.block or many)
    halo = network.halo if options.halo == "exact" else up(options.halo, network.stride)
    layout = lay_out(
        shape,
        halo=halo,
        stride=network.stride,
        slices_in=network.slices_in,
        slices_out=_planes_kept(network, options.center_planes),
        tile=options.tile,
        most=_max_tile(network, halo),
        box=box,
        classes=classes,
    )
    return Geometry(axes, layout, options.block or _tiles_together(layout.tile, size))


def _viewing_axes(shape: Shape, network: Network, options: PredictOptions) -> str:
    """The axes that are stated, or those of the network's card; of these the one along which the
    volume is thin, if there is one.

    Along the other two all planes would be thin: one slice of a real cell, Dice 0.54 with all three
    axes, 0.94 along z alone (benchmarks/LOG.md).
    """
    if options.axes != "model":
        return options.axes
    thin = [axis for axis, n in zip("zyx", shape, strict=True) if n < network.slices_in]
    return thin[0] if len(thin) == 1 else network.axes


def _tiles_together(tile: Shape, shape: Shape) -> Shape:
    """A block of one tile, or of several where a network takes small ones only."""
    few = each(lambda t, n: min(max(1, MIN_BLOCK // t), -(-n // t)), tile, shape)
    return each(lambda t, n: t * n, tile, few) if max(few) > 2 else tile


def _max_tile(network: Network, halo: int) -> int | None:
    """The longest side of a tile that the network takes besides its halo; None if any."""
    if network.most_pixels is None:
        return None
    room = (network.most_pixels - 2 * halo) // network.stride * network.stride
    if room <= 0:
        raise ModelError(
            f"model {network.name} takes {network.most_pixels} pixels, of which a halo of {halo} "
            "on either side leaves none; take a smaller [predict] halo"
        )
    return room


def _planes_kept(network: Network, keep: int) -> int:
    """How many predicted planes count, for [predict] center_planes; ConfigError if it cannot be."""
    most = network.slices_out
    if keep > most or (keep and (most - keep) % 2):
        raise ConfigError(
            f"[predict] center_planes = {keep}: {network.name} predicts {most} planes; keep an "
            f"{'even' if most % 2 == 0 else 'odd'} number of up to {most}, or 0 for all"
        )
    return keep or most


def _published(shape: Shape, network: Network, options: PredictOptions) -> Layout:
    halo, tile = (PATCH - KEPT) // 2, (KEPT, KEPT, KEPT)
    if options.tile or options.center_planes:
        raise ConfigError(
            f'[predict] halo = "reference" has tiles of {KEPT} pixels and keeps half of the '
            'planes: leave tile and center_planes out, or take halo = "exact"'
        )
    if halo % network.stride or (network.most_pixels or PATCH) < PATCH:
        raise ModelError(
            f"model {network.name} takes no patches of {PATCH} pixels that keep {KEPT}; take "
            '[predict] halo = "exact"'
        )
    planes = network.slices_in, central_half(network)
    return Layout(shape, tile, halo, halo + KEPT, network.stride, *planes)


def central_half(network: Network) -> int:
    """Half of the planes read, as far as they are predicted, around the same middle."""
    odd = network.slices_out % 2
    half = min(network.slices_out, network.slices_in // 2)
    return max(half - (half - odd) % 2, 2 - odd)

"""How much tiles see beyond what they answer: exactly enough, as published, or some pixels.

The published overlap: patches of 256 x 256 pixels that keep their middle, for comparisons.

    |----64----|--------128--------|----64----|     along both sides of a plane
    |----3-----|---------6---------|----3-----|     along the axis looked at, of 12 slices

Every such patch is whole: beyond the volume's border it sees the volume mirrored.
"""

from __future__ import annotations

from volproc.config import PredictOptions
from volproc.errors import ConfigError, ModelError
from volproc.grid.box import Box, Shape, each
from volproc.model.network import Network
from volproc.stages.predict.asking import planes_kept
from volproc.stages.predict.tiling import Layout, lay_out

PATCH = 256
KEPT = 128


def layout_of(
    shape: Shape, network: Network, options: PredictOptions, box: Box | None = None
) -> tuple[Layout, Shape]:
    """Tiles for a volume of `shape` of which `box` is predicted, and the voxels of a block.

    ConfigError or ModelError where the options and the network do not fit.
    """
    if options.halo == "reference":
        layout = _published(shape, network, options)
        return layout, options.block or _many_patches(box.shape if box else shape)
    stride = network.stride
    halo = network.halo if options.halo == "exact" else -(-options.halo // stride) * stride
    layout = lay_out(
        shape,
        halo=halo,
        stride=stride,
        slices_in=network.slices_in,
        slices_out=planes_kept(network, options.keep),
        tile=options.tile,
        most=_room(network, halo),
        box=box,
    )
    return layout, options.block or _several(layout.tile, box.shape if box else shape)


def _several(tile: Shape, shape: Shape) -> Shape:
    """A block of one tile, or of several where a network takes small ones only."""
    few = each(lambda t, n: min(max(1, 128 // t), -(-n // t)), tile, shape)
    return each(lambda t, n: t * n, tile, few) if max(few) > 2 else tile


def _room(network: Network, halo: int) -> int | None:
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


def _published(shape: Shape, network: Network, options: PredictOptions) -> Layout:
    halo = (PATCH - KEPT) // 2
    if options.tile or options.keep:
        raise ConfigError(
            f'[predict] halo = "reference" has tiles of {KEPT} pixels and keeps half of the '
            'planes: leave tile and keep out, or take halo = "exact"'
        )
    if halo % network.stride or (network.most_pixels or PATCH) < PATCH:
        raise ModelError(
            f"model {network.name} takes no patches of {PATCH} pixels that keep {KEPT}; take "
            '[predict] halo = "exact"'
        )
    return Layout(
        shape=shape,
        tile=(KEPT, KEPT, KEPT),
        halo=halo,
        border=halo + KEPT,
        stride=network.stride,
        slices_in=network.slices_in,
        slices_out=central_half(network),
    )


def central_half(network: Network) -> int:
    """Half of the planes read, as far as they are answered, around the same middle."""
    odd = network.slices_out % 2
    half = min(network.slices_out, network.slices_in // 2)
    return max(half - (half - odd) % 2, 2 - odd)


def _many_patches(shape: Shape) -> Shape:
    """A block as large as a tile would be chosen, of whole patches."""
    return lay_out(shape, halo=0, stride=KEPT, slices_in=1, slices_out=1).tile

"""Whether image, model and options can meet; errors say what to change."""

from __future__ import annotations

from volproc.config import PredictOptions
from volproc.errors import ConfigError, ModelError
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.model.network import Network
from volproc.volume.metadata import VolumeInfo

MOST_REFINING = 2.0
"""An image with voxels more than this many times coarser than the model's is refused."""


def require_weights(options: PredictOptions) -> None:
    """Weights for some axis that is looked along; ConfigError if all are 0."""
    if options.fusion == "weighted" and not any(options.axis_weights):
        raise ConfigError(
            f"[predict] weights = {list(options.weights)}: of the axes looked along "
            f"({options.axes}) at least one needs a weight above 0"
        )


def require_reachable(image: VolumeInfo, voxel_nm: VoxelNm, network: Network) -> None:
    """Voxels from which the model's can be had; ModelError if they are too coarse."""
    if any(v > MOST_REFINING * m for v, m in zip(image.voxel_nm, voxel_nm, strict=True)):
        raise ModelError(
            f"model {network.name} works at {list(voxel_nm)} nm, but {image.url} has voxels of "
            f"{list(image.voxel_nm)} nm, more than {MOST_REFINING:g} times coarser; take a model "
            "for coarser voxels, or check the image's voxel size"
        )


def suited(shape: Shape, network: Network, options: PredictOptions) -> PredictOptions:
    """`options` with the one axis along which the volume is thin, unless they state axes.

    Along the other two all planes would be thin: one slice of a real cell, Dice 0.54 with all three
    axes, 0.94 along z alone (docs/performance.md).
    """
    thin = [axis for axis in "zyx" if shape["zyx".index(axis)] < network.slices_in]
    if len(thin) != 1 or "axes" in options.model_fields_set:
        return options
    return options.model_copy(update={"axes": thin[0]})


def thinness(shape: Shape, network: Network, axes: str) -> tuple[str, ...]:
    """A note for each axis along which the volume has fewer planes than the model reads."""
    alone = ", and it is seen along this axis alone unless axes are stated" * (len(axes) == 1)
    return tuple(
        f"reads {network.slices_in} planes, along {axis} the volume has {planes} at the model's "
        f"voxel size: the others are mirrored ones{alone}"
        for axis in axes
        if (planes := shape["zyx".index(axis)]) < network.slices_in
    )

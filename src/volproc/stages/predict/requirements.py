"""Whether image, model and options go together; errors say what to change, notes what to know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from volproc.errors import ConfigError, ModelError
from volproc.grid.scale import VoxelNm
from volproc.model.network import Network
from volproc.stages.model_fit import why_too_coarse
from volproc.stages.predict.geometry import Geometry
from volproc.stages.predict.options import PredictOptions
from volproc.volume.access import exists
from volproc.volume.metadata import VolumeInfo


def settled(options: PredictOptions, network: Network, geometry: Geometry) -> dict[str, Any]:
    """The options that were left to the model."""
    fusion = network.fusion if options.fusion == "model" else options.fusion
    return {"axes": geometry.axes, "fusion": fusion}


def validation_notes(options: PredictOptions, network: Network) -> Iterator[str]:
    """One where the options ask for axes along which nobody looked how good the model is."""
    others = "".join(axis for axis in "zyx" if axis in options.axes and axis not in network.axes)
    if options.axes != "model" and others:
        yield (
            f"was validated along {' and '.join(network.axes)} only, and is used along "
            f"{' and '.join(others)} as [predict] axes = {options.axes} asks"
        )


def require_plain_cpu(options: PredictOptions, device: str) -> None:
    """ConfigError where int8 is to run on a GPU, or compiled by torch."""
    if device != "cpu":
        raise ConfigError(
            '[predict] precision = "int8" is for CPUs, and the network would run on a GPU; use '
            'device = "cpu", or precision = "float32"'
        )
    if options.compiled:
        raise ConfigError(
            '[predict] precision = "int8" is run by OpenVINO, not compiled by torch; leave '
            "compiled out"
        )


def require_greys(options: PredictOptions, network: Network) -> None:
    """ModelError where the model does not know the grey values that are to be matched."""
    if options.match_greys and exists(network.source):  # one that is still to be trained will
        network.constants_from(np.arange(256, dtype=np.uint8), match_greys=True)


def require_weights(options: PredictOptions) -> None:
    """ConfigError if the weights of all viewing axes are 0."""
    if options.fusion == "weighted" and not any(options.axis_weights):
        raise ConfigError(
            f"[predict] weights = {list(options.weights)}: at least one of the viewing axes "
            f"({options.axes}) needs a weight above 0"
        )


def require_reachable(image: VolumeInfo, voxel_nm: VoxelNm, network: Network) -> None:
    """ModelError if the image's voxels are too coarse for the model."""
    if why := why_too_coarse(image, voxel_nm):
        raise ModelError(f"model {network.name} works at {list(voxel_nm)} nm, but {why}")

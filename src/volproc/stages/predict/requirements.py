"""Whether image, model and options go together; errors say what to change."""

from __future__ import annotations

from volproc.errors import ConfigError, ModelError
from volproc.grid.scale import VoxelNm
from volproc.model.network import Network
from volproc.stages.model_fit import MAX_REFINING, is_too_coarse
from volproc.stages.predict.options import PredictOptions
from volproc.volume.metadata import VolumeInfo


def require_weights(options: PredictOptions) -> None:
    """ConfigError if the weights of all viewing axes are 0."""
    if options.fusion == "weighted" and not any(options.axis_weights):
        raise ConfigError(
            f"[predict] weights = {list(options.weights)}: at least one of the viewing axes "
            f"({options.axes}) needs a weight above 0"
        )


def require_reachable(image: VolumeInfo, voxel_nm: VoxelNm, network: Network) -> None:
    """ModelError if the image's voxels are too coarse for the model."""
    if is_too_coarse(image, voxel_nm):
        raise ModelError(
            f"model {network.name} works at {list(voxel_nm)} nm, but {image.url} has voxels of "
            f"{list(image.voxel_nm)} nm, more than {MAX_REFINING:g} times coarser; take a model "
            "for coarser voxels, or check the image's voxel size"
        )

"""[train]: a network from images and labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from volproc.config.options import Count, FilePath, ModelName, NotNegative, Options, Positive
from volproc.stages.train.augmentation.options import AugmentationOptions


class TrainedOnOptions(Options):
    """One source of training data, for the model's card."""

    name: str
    """What it is."""
    terms: str
    """Under which terms it may be used."""


class TrainOptions(Options):
    """A network trained from images and their labels."""

    name: str = "model"
    """Name on the card."""
    object_name: str = "nucleus"
    """What the labels mark."""
    model_out: FilePath = "model"
    """Folder of the model, and of the checkpoints to go on from."""
    images: tuple[FilePath, ...] = ()
    """OME-Zarr images."""
    labels: tuple[FilePath, ...] = ()
    """OME-Zarr label volumes, one per image; all but 0 is foreground."""
    ignore: tuple[FilePath, ...] = ()
    """Label volumes, one per image ("" for none): voxels that are not 0 there carry no loss."""
    agreement: tuple[FilePath, ...] = ()
    """Volumes of 0 to 255, one per image ("" for none): the share of people who say "inside"."""
    agreement_as: Literal["nothing", "weights", "labels"] = "nothing"
    """What agreement is used for: weights of the loss (0 where people tie), soft labels (which did
    worse where they were compared, docs/crowd.md), or nothing."""
    weights: tuple[Positive, ...] = ()
    """How often patches come from each image, relative to the others; equally often if empty."""
    validation_images: tuple[FilePath, ...] = ()
    """Images the network is scored on but never learns from."""
    validation_labels: tuple[FilePath, ...] = ()
    """Their label volumes."""
    voxel_nm: Positive = 50.0
    """Voxel size in nm, the same along all axes, at which the network sees the images."""
    slices_in: Count = 12
    """Neighbouring planes the network reads."""
    slices_out: Count = 8
    """Planes it answers: the central ones."""
    widths: tuple[Count, ...] = (32, 64, 96, 128)
    """Channels per level of the U-Net, finest first."""
    stem: Annotated[int, Field(ge=1)] = 2
    """Pixels of a side that become channels before the first convolution; 1 for none."""
    start_from: ModelName = ""
    """A model of the same network to go on from: a folder or a shipped name; none if empty."""
    patch: Count = 192
    """Pixels of a side of the training patches, a multiple of the network's stride."""
    batch: Count = 8
    """Patches per step."""
    steps: Count = 3000
    """Steps of the optimiser."""
    learning_rate: Positive = 2e-3
    """The highest one; it falls along a half cosine to 0 at the last step."""
    border_weight: NotNegative = 0.0
    """How much more voxels within 100 nm of an object's border (at 50 nm) count in the loss."""
    augmentation: AugmentationOptions = AugmentationOptions()
    """How patches are changed before the network learns from them."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Same seed, same data, same device: same weights."""
    checkpoint_steps: Count = 100
    """Steps between checkpoints."""
    validate_steps: Count = 500
    """Steps between scores on the validation images."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it trains; auto takes a GPU if there is one."""
    licence: str = ""
    """Terms of the weights, for the card."""
    notes: str = ""
    """What a user of the model should know, for the card."""
    trained_on: tuple[TrainedOnOptions, ...] = ()
    """The data and their terms, for the card."""

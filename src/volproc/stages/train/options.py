"""[train]: a network from images and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from volproc.config.options import Count, FilePath, ModelName, NotNegative, Options, Positive
from volproc.model.spec import Block, Freeze, Skips
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.data_options import (
    Axes,
    ClassNames,
    DataOptions,
    TargetOptions,
    VoxelSize,
)


class TrainedOnOptions(Options):
    """One source of training data, for the model's card."""

    name: str
    """What it is."""
    terms: str
    """Under which terms it may be used."""


class TrainOptions(Options):
    """A network trained from images and their labels."""

    RENAMED: ClassVar[Mapping[str, str]] = {"object_name": "classes"}

    name: str = "model"
    """Name on the card."""
    classes: ClassNames = ("nucleus",)
    """What the network learns to find, such as ["membrane", "mitochondrion"]."""
    model_out: FilePath = "model"
    """Folder of the model, and of the checkpoints to go on from."""
    images: tuple[FilePath, ...] = ()
    """OME-Zarr images."""
    labels: tuple[FilePath, ...] = ()
    """OME-Zarr label volumes, one per image; all but 0 is the class unless targets say else."""
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
    data: tuple[DataOptions, ...] = ()
    """More images with their labels, one table [[train.data]] each: labels per class, boxes."""
    validation: tuple[DataOptions, ...] = ()
    """More images, or boxes of images, to score on: one table [[train.validation]] each."""
    margin_nm: NotNegative = 0.0
    """What is trained on keeps so far away from boxes of the same image that are scored on."""
    targets: dict[str, TargetOptions] = Field(default={})
    """What is made of the labels of a class, [train.targets.CLASS]: membranes from bodies, say."""
    voxel_nm: VoxelSize = (50.0, 50.0, 50.0)
    """Voxel size in nm (z, y, x) at which the network sees the images; one number for all axes."""
    axes: Axes = "auto"
    """Axes that patches are viewed along, or the share of each: "zyx", {z = 0.5, y = 0.25, x =
    0.25}. auto takes z alone where voxels are at least 3 times as long along z, or an image has too
    few sections for a patch, else all three."""
    cache_gb: Positive = 2.0
    """Memory in GB for images and labels. What has more is read in regions, a few at a time."""
    slices_in: Count = 12
    """Neighbouring planes the network reads."""
    slices_out: Count = 8
    """Planes it answers: the central ones."""
    network: Literal["unet", "etchacell"] = "unet"
    """A U-Net, or the published network of Etch-a-Cell (12 slices in and out)."""
    widths: tuple[Count, ...] = (28, 48, 80, 112)
    """Channels per level of the U-Net, finest first."""
    stem: Annotated[int, Field(ge=1)] = 2
    """Pixels of a side that become channels before the U-Net's first convolution; 1 for none."""
    convs_down: Count = 2
    """Convolutions per level of the U-Net's encoder."""
    convs_up: Count = 1
    """Convolutions per level of the U-Net's decoder."""
    block: Block = "plain"
    """The U-Net's convolutions: plain, residual, or separable (a fifth of the work)."""
    skips: Skips = "add"
    """Whether the U-Net's decoder takes the encoder's planes beside its own, or added to them."""
    towers: Count = 32
    """Channels of a tower of Etch-a-Cell's network, at the finest level."""
    levels: Count = 5
    """Levels of Etch-a-Cell's network."""
    start_from: ModelName = ""
    """A model to go on from: a folder or a shipped name; none if empty. Its network and voxel size
    are taken where these options are not given. The outputs of classes that it has are kept."""
    freeze: Freeze = "nothing"
    """What learns nothing of a model that is gone on from: encoder, or body (all but the head)."""
    few: bool = False
    """For 5 to 20 annotated slices: goes on from a shipped model, with few and small steps, unless
    options say otherwise."""
    patch: Count = 192
    """Pixels of a side of the training patches, a multiple of the network's stride."""
    batch: Count = 8
    """Patches per step."""
    steps: Count = 3000
    """Steps of the optimiser."""
    learning_rate: Positive = 2e-3
    """The highest one; it falls along a half cosine to 0 at the last step."""
    border_weight: NotNegative = 0.0
    """How much more voxels near a border of objects count in the loss."""
    boundary_loss: NotNegative = 0.0
    """What 1 - the F score of soft boundaries (Bokhovkin and Burnaev 2019) counts in the loss,
    beside cross entropy and Dice that count 1 each."""
    border_nm: NotNegative = 0.0
    """How near to a border is near, and how far apart boundaries still agree, in nm; 0 is two
    voxels."""
    augmentation: AugmentationOptions = AugmentationOptions()
    """How patches are changed before the network learns from them."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Same seed, data, kind of device and versions of libraries: same weights."""
    checkpoint_steps: Count = 100
    """Steps between checkpoints."""
    validate_steps: Count = 500
    """Steps between scores on the validation images."""
    tolerance_nm: NotNegative = 0.0
    """Distance within which surfaces agree in these scores; 0 is two voxels."""
    best_by: Literal["dice", "boundary_f", "pq"] = "boundary_f"
    """The score by which a network is better than another: of the votes of all axes, fused, the
    mean over the classes."""
    keep: Literal["best", "last"] = "best"
    """Whether the model is the best one that validation saw, or that of the last step."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Validations without a better score after which training ends early; 0 for never."""
    calibrate: bool = True
    """Fit a temperature for each class on the validation images, so that of the voxels predicted
    with 0.8 about 80% are right."""
    tensorboard: bool = False
    """Also write TensorBoard's files; needs volproc[tensorboard]."""
    processes: Annotated[int, Field(ge=0)] = 0
    """Processes that share each batch; 0 is one per GPU of the worker, and one without a GPU."""
    compiled: bool = False
    """Compile the network by torch.compile: takes minutes at first."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it trains; auto takes a GPU if there is one."""
    licence: str = ""
    """Terms of the weights, for the card."""
    purpose: str = ""
    """What the model is for, in a line, for the card."""
    limits: str = ""
    """Where it fails, for the card."""
    notes: str = ""
    """What a user of the model should know, for the card."""
    trained_on: tuple[TrainedOnOptions, ...] = ()
    """The data and their terms, for the card."""

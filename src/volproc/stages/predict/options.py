"""[predict]: the network along up to three axes, and the fusion of their votes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from volproc.config.options import (
    Crop,
    FilePath,
    Fraction,
    ModelName,
    NotNegative,
    Options,
    Triple,
    Voxels,
)


class PredictOptions(Options):
    """The network along three axes, and the fusion of their votes."""

    RENAMED: ClassVar[Mapping[str, str]] = {
        "keep": "center_planes",
        "skip": "skip_empty_std",
        "native": "image_grid",
        "certify": "seam_check",
    }

    model: ModelName = "nuclei-50nm"
    """A model folder (weights.safetensors and card.json), the name of a shipped model, or what
    others made: a bioimage.io package (folder or .zip), .onnx, .pt2 or TorchScript."""
    card: FilePath = ""
    """A TOML file with what another's model does not say itself; NAME.toml beside it if empty."""
    trust_model: bool = False
    """Run the program that a model of TorchScript or .pt2 is: only if you trust its maker."""
    voxel_nm: Triple | None = None
    """Voxel size of the image in nm (z, y, x), where its metadata lacks it."""
    box: Crop = ""
    """Predict in this part of the image only: voxels ("0:64,0:512,0:512"), lengths
    ("0:2um,0:5um,0:5um"), or a size in the middle ("512"). What is around it is read too."""
    mask: FilePath = ""
    """Predict only where this volume (OME-Zarr, any grid) is not 0; elsewhere the result is 0."""
    classes: tuple[str, ...] = ()
    """Of the classes that the model predicts, those to write; empty is all."""
    axes: Literal["model", "z", "y", "x", "zy", "zx", "yx", "zyx"] = "model"
    """Axes to look along; model: those that its card names, zyx if it names none."""
    fusion: Literal["model", "union", "majority", "mean", "max", "weighted"] = "model"
    """union, majority, mean, max or weighted mean of the axes' votes; model: as its card says, mean
    if it says nothing."""
    weights: tuple[NotNegative, NotNegative, NotNegative] = (1.0, 1.0, 1.0)
    """What the votes of z, y and x count for (fusion weighted), relative to one another."""
    threshold: Fraction = 0.5
    """Probability from which an axis votes yes (union and majority)."""
    match_greys: bool = False
    """Give the image the distribution of grey values that the model learnt from, if its card states
    it: for images of another contrast."""
    flips: bool = False
    """Average each axis' probability over the plane's four mirror images: 4 times the work."""
    center_planes: Annotated[int, Field(ge=0)] = 0
    """Of the planes the network answers at once, the central ones that count; 0 is all."""
    halo: Literal["exact", "reference"] | Annotated[int, Field(ge=0)] = "exact"
    """exact is what the model sees, reference the published overlap (256 pixels keep 128, half of
    the planes), a number is pixels of context on each side."""
    skip_empty_std: NotNegative = 0.0
    """Blocks whose image, seen coarsely, spans less than this many standard deviations of the
    volume are taken to hold nothing; 0 looks at all."""
    votes: bool = True
    """Keep each axis' probability as a volume of channels x, y, z (red, green, blue); of several
    classes "CLASS x" and so on."""
    agreement: bool = False
    """From the votes, write how many axes say yes (0 to 3)."""
    disagreement: bool = False
    """From the votes, write how far the axes are apart (0 to 255)."""
    regions_um: Triple | None = None
    """From the votes, rank regions of this size (z, y, x; µm) by how far the axes are apart."""
    image_grid: bool = False
    """Also write the prediction on the image's own grid (of union and majority: from the votes)."""
    seam_check: Annotated[int, Field(ge=0)] = 0
    """Places that are predicted again with other tiles, and compared; 0 is none."""
    tile: Voxels | None = None
    """Voxels (at the model's voxel size) the network answers at once per axis; chosen to suit."""
    block: Voxels | None = None
    """Voxels (at the model's voxel size) one task writes; by default one tile."""
    batch: Annotated[int, Field(ge=0)] = 0
    """Tiles in one call of the network; 0 is 1 on a CPU (measured best there), and on a GPU as many
    as its memory holds, up to 4 Mpixel. Fewer are tried, and then halves of tiles, where that
    proves too many."""
    compiled: bool = False
    """Compile the network by torch.compile, on a GPU once for tiles of all sizes: takes a minute or
    more on each worker. No faster on a CPU; not measured on a GPU."""
    precision: Literal["float32", "int8"] = "float32"
    """int8: a model's quantised weights, by OpenVINO, on CPUs only; the same bits on every CPU.
    `volproc models quantise` makes them."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs; auto takes a GPU if there is one."""

    @field_validator("halo", mode="wrap")
    @classmethod
    def _halo_in_words(cls, value: Any, known: ValidatorFunctionWrapHandler) -> Any:
        try:
            return known(value)
        except ValidationError as error:
            raise ValueError(
                f"[predict] halo = {value!r}: expected exact, reference, or pixels from 0 on"
            ) from error

    @property
    def axis_weights(self) -> tuple[float, ...]:
        """The weights of the axes looked along, in their order."""
        return tuple(self.weights["zyx".index(axis)] for axis in self.axes)

"""What a training learns from: its data, what is made of their labels, the axes it looks along."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from volproc.config.options import Crop, FilePath, NotNegative, Options, Positive, Triple

Axis = Literal["z", "y", "x"]
OfClasses = FilePath | dict[str, FilePath]
"""One volume for all classes, or a table of them by class."""
WIDE, DEEP = ("borders", "outline"), ("interior", "distance")


def _one_per_axis(value: Any) -> Any:
    return (value,) * 3 if isinstance(value, int | float) else value


def _some(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _in_words(value: Any, known: ValidatorFunctionWrapHandler) -> Any:
    try:
        return known(value)
    except ValidationError as error:
        raise ValueError(
            f"[train] axes = {value!r}: expected auto, some of zyx such as z or zyx, or shares "
            "from 0 on such as {z = 0.5, y = 0.25, x = 0.25}"
        ) from error


VoxelSize = Annotated[Triple, BeforeValidator(_one_per_axis)]
"""Three numbers in nm (z, y, x), or one for all axes."""
ClassNames = Annotated[tuple[str, ...], BeforeValidator(_some)]
Axes = Annotated[
    Literal["auto", "z", "y", "x", "zy", "zx", "yx", "zyx"] | dict[Axis, NotNegative],
    WrapValidator(_in_words),
]


class DataOptions(Options):
    """An image, its labels, and what part of it is used."""

    image: FilePath = ""
    """An OME-Zarr image; in a run by default the run's."""
    labels: OfClasses = ""
    """Its label volume for all classes, or a table of one per class: a class that is not named
    there is not labelled in this image, and nothing is learnt of it here."""
    ignore: OfClasses = ""
    """Label volume, or a table of one per class: voxels that are not 0 carry no loss."""
    agreement: OfClasses = ""
    """Volume of 0 to 255, or one per class: the share of people who say "inside"."""
    weight: Positive = 1.0
    """How often patches come from this image, relative to the others."""
    box: Crop = ""
    """Use this part of the image only: voxels ("0:64,:,:"), lengths ("0:2um,:,:"), or a size in the
    middle ("512")."""


class TargetOptions(Options):
    """What the network learns to answer for a class, made from the class' label volume."""

    model_config = ConfigDict(populate_by_name=True)

    made_from: Literal["foreground", "values", "borders", "outline", "interior", "distance"] = (
        Field(default="foreground", alias="from")
    )
    """foreground is all but 0; values are chosen ones; borders are what lies between bodies, such
    as membranes; outline is the border of a body on both sides; interior is what is deeper inside a
    body than depth_nm; distance rises from 0 at a body's border to 1 at depth_nm."""
    values: tuple[int, ...] = ()
    """The labels that are the class, together one body; empty takes all but 0, each a body."""
    width_nm: Positive | None = None
    """How wide borders and outlines are, both sides together."""
    depth_nm: Positive | None = None
    """Of interior and distance: how far from the border."""
    background: bool = False
    """Whether borders are also where a body meets the background (0)."""

    @model_validator(mode="after")
    def _complete(self) -> TargetOptions:
        made = self.made_from
        for name, value, kinds in (
            ("width_nm", self.width_nm, WIDE),
            ("depth_nm", self.depth_nm, DEEP),
        ):
            if (value is None) == (made in kinds):
                said = "needs" if value is None else "has no"
                raise ValueError(f'[train.targets] from = "{made}" {said} {name}')
        if made == "values" and not self.values:
            raise ValueError('[train.targets] from = "values" needs values, such as [3]')
        if self.values and made in ("foreground", "borders"):
            raise ValueError(
                f'[train.targets] from = "{made}" takes no values; take "values" or "outline"'
            )
        if self.background and made != "borders":
            raise ValueError('[train.targets] background is for from = "borders" only')
        return self

"""What has to be known about a foreign network besides its weights.

A bioimage.io description is turned into one. A card, a TOML file of these keys next to the model
(net.toml for net.onnx), states what is missing and overrides what is there.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from volproc.errors import ModelError
from volproc.model.foreign.processing import After, Before
from volproc.retry import patient

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Weights = Literal["onnx", "torchscript", "pt2"]
M = TypeVar("M", bound=BaseModel)
BACKGROUND = frozenset({"background", "bg", "back", "none", "outside", "not_object"})
"""Names of channels that stand for no object."""


class Extent(BaseModel):
    """Sizes an axis may have: `least`, and more by multiples of `step`; 0 for no other."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    least: Count
    step: Annotated[int, Field(ge=0)] = 0

    @property
    def most(self) -> int | None:
        """The only size there is, or None."""
        return None if self.step else self.least

    def fit(self, size: int) -> int:
        """The least allowed size of at least `size`; ModelError if there is none.

        >>> Extent(least=64, step=16).fit(70)
        80
        """
        if size <= self.least:
            return self.least
        if not self.step:
            raise ModelError(f"the network takes {self.least} pixels, {size} were given")
        return self.least - (self.least - size) // self.step * self.step


class Description(BaseModel):
    """The keys of a card; what none states is measured, or found in the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = ""
    """The file's name if empty."""
    voxel_nm: tuple[Positive, Positive, Positive] | None = None
    """Voxel size (z, y, x) in nm at which the network sees the image."""
    axes: str = "bcyx"
    """Axes of its input: b batch, c channel, z y x. bcyx is a 2D network, bczyx a 3D one, and
    bzyx a 2.5D one, whose channels are neighbouring planes."""
    output_axes: str = ""
    """Axes of its output; those of the input if empty."""
    size: Extent | None = None
    """Heights and widths it takes: one number, or {least = 64, step = 16}."""
    depth: Extent | None = None
    """Planes it takes along z, likewise."""
    channel: int | str | None = None
    """Which channel of the output is the probability, by number or name; needed where there are
    several, unless their names say that all but one are background."""
    channels: tuple[str, ...] = ()
    """Names of the output's channels."""
    preprocessing: tuple[Before, ...] = ()
    """Steps before the network."""
    postprocessing: tuple[After, ...] = ()
    """Steps after it, which must end in a probability."""
    halo: Annotated[int, Field(ge=0)] | None = None
    """Pixels in plane that it needs around a tile, if more than are measured."""
    depth_halo: Annotated[int, Field(ge=0)] | None = None
    """The same in planes along z (3D)."""
    stride: Count | None = None
    """Tiles begin on multiples of this many pixels."""
    depth_stride: Count | None = None
    """The same in planes along z (3D)."""
    weights: Weights | None = None
    """Which weights of a package that holds several; ONNX first."""
    tolerance: Positive = 1e-4
    """How far it may be from its own test tensors."""

    @field_validator("size", "depth", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return {"least": value} if isinstance(value, int) else value

    @field_validator("axes", "output_axes")
    @classmethod
    def _letters(cls, value: str) -> str:
        if value and (len(set(value)) < len(value) or not {"y", "x"} <= set(value) <= set("bczyx")):
            raise ValueError(f"axes are letters of bczyx, each once, y and x among them: {value!r}")
        return value

    @property
    def three_d(self) -> bool:
        """Whether it sees volumes, with a channel axis besides z."""
        return "z" in self.axes and "c" in self.axes

    def channel_of(self, count: int) -> int:
        """Which of `count` channels is the probability; ModelError where that is not known."""
        if self.channel is None:
            return self._only_object(count)
        if isinstance(self.channel, str):
            if self.channel not in self.channels:
                known = ", ".join(self.channels) or "none"
                raise ModelError(f"no channel {self.channel!r} among the model's: {known}")
            return self.channels.index(self.channel)
        if not 0 <= self.channel < count:
            raise ModelError(
                f"{self.name} predicts {count} channels, there is no channel {self.channel} (they "
                "count from 0); state another in a card"
            )
        return self.channel

    def _only_object(self, count: int) -> int:
        names = self.channels if len(self.channels) == count else ()
        objects = [n for n, name in enumerate(names) if name.lower() not in BACKGROUND]
        if count == 1 or len(objects) == 1:
            return objects[0] if objects else 0
        called = f" ({', '.join(names)})" if names else ""
        raise ModelError(
            f"{self.name} predicts {count} channels{called}, and nothing says which of them is the "
            "probability of the object: state it in a card, such as channel = 1 (they count from "
            "0; the first is often the background)"
        )


@patient
def with_card(description: Description, path: Path) -> Description:
    """`description` with what the TOML file `path` states; ModelError names what is wrong."""
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read the card {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the card {path} is not TOML: {error}") from error
    return checked(
        Description, {**description.model_dump(exclude_unset=True), **stated}, where=path
    )


def checked(kind: type[M], values: Any, *, where: Path | str) -> M:
    """`values` as a `kind`; ModelError names the first thing that does not fit."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            known = ", ".join(kind.model_fields)
            raise ModelError(f"{where}: unknown key {place}; known are {known}") from error
        message = " ".join(first["msg"].split())[:300]
        raise ModelError(f"{where}: {place}: {message}") from error

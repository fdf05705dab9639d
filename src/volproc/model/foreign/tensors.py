"""Tensors in bioimage.io descriptions: their axes, sizes and steps, in formats 0.4 and 0.5."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from volproc.model.foreign.model_card import Extent

Count = Annotated[int, Field(ge=1)]
Pixels = Annotated[int, Field(ge=0)]


class _Read(BaseModel):
    """Keys that are of no use here are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Parameterized(_Read):
    """Sizes of `min`, and more by multiples of `step`."""

    min: Count
    step: Pixels = 1


class Axis(_Read):
    """One axis of a tensor, as format 0.5 writes it."""

    type: Literal["batch", "channel", "space", "time", "index"]
    id: str = ""
    size: Count | Parameterized | dict[str, Any] | None = None
    halo: Pixels = 0
    scale: Annotated[float, Field(gt=0)] = 1.0
    unit: str | None = None
    channel_names: tuple[str, ...] | str = ()

    @property
    def letter(self) -> str:
        """b, c, z, y or x; t and i for time and index."""
        return (self.id or "x")[0] if self.type == "space" else self.type[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The channels' names, where each has one of its own."""
        return () if isinstance(self.channel_names, str) else self.channel_names

    @property
    def extent(self) -> Extent | None:
        """The sizes it may have, None for any (or as many as another axis)."""
        if isinstance(self.size, Parameterized):
            return Extent(least=self.size.min, step=self.size.step)
        if isinstance(self.size, int):
            return Extent(least=self.size)
        return Extent(least=len(self.names)) if self.names else None


class Tensor05(_Read):
    """An input or output of format 0.5."""

    axes: tuple[Axis, ...]
    preprocessing: tuple[dict[str, Any], ...] = ()
    postprocessing: tuple[dict[str, Any], ...] = ()
    test_tensor: Any = None


class Shape04(_Read):
    """A shape of format 0.4 that is not a list."""

    min: tuple[Count, ...] = ()
    step: tuple[Pixels, ...] = ()


class Tensor04(_Read):
    """An input or output of format 0.4: axes as letters, everything else as lists beside them."""

    axes: str
    shape: tuple[Count, ...] | Shape04
    halo: tuple[Pixels, ...] = ()
    preprocessing: tuple[dict[str, Any], ...] = ()
    postprocessing: tuple[dict[str, Any], ...] = ()

    def renewed(self) -> Tensor05:
        """The same tensor in the words of format 0.5."""
        axes = (self._axis(n, letter) for n, letter in enumerate(self.axes))
        return Tensor05(
            axes=tuple(axes),
            preprocessing=self.preprocessing,
            postprocessing=self.postprocessing,
        )

    def _axis(self, n: int, letter: str) -> Axis:
        kinds = {"b": "batch", "c": "channel", "t": "time", "i": "index"}
        size: Any = None
        if isinstance(self.shape, tuple):
            size = self.shape[n] if n < len(self.shape) else None
        elif n < len(self.shape.min):
            step = self.shape.step[n] if n < len(self.shape.step) else 0
            size = {"min": self.shape.min[n], "step": step} if step else self.shape.min[n]
        halo = self.halo[n] if n < len(self.halo) else 0
        return Axis.model_validate(
            {"type": kinds.get(letter, "space"), "id": letter, "size": size, "halo": halo}
        )

"""The steps before and after a network, in bioimage.io's words.

Statistics (mean, spread, percentiles) are taken once from the whole volume, whatever the
description says about samples and data sets: those of a tile would show the tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import Tensor

from volproc.errors import VolumeError


def _only(value: Any) -> Any:
    """A list of one number is that number: one channel is all there is."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


Number = Annotated[float, BeforeValidator(_only), Field(allow_inf_nan=False)]
Percentile = Annotated[float, Field(ge=0, le=100)]


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def fixed(self, values: Tensor) -> Step:
        """This step without statistics: those of `values` take their place."""
        return self  # type: ignore[return-value]

    def apply(self, values: Tensor) -> Tensor:
        """`values` after the step."""
        raise NotImplementedError


class ScaleLinear(_Step):
    """gain * value + offset."""

    id: Literal["scale_linear"] = "scale_linear"
    gain: Number = 1.0
    offset: Number = 0.0

    def apply(self, values: Tensor) -> Tensor:
        """Scaled and shifted."""
        return values * self.gain + self.offset


class FixedZeroMean(_Step):
    """(value - mean) / std, with numbers that came with the network."""

    id: Literal["fixed_zero_mean_unit_variance"]
    mean: Number
    std: Annotated[Number, Field(gt=0)]

    def apply(self, values: Tensor) -> Tensor:
        """Shifted and scaled."""
        return (values - self.mean) / self.std


class ZeroMean(_Step):
    """(value - mean) / (std + eps), of the volume unless they are given."""

    id: Literal["zero_mean_unit_variance"]
    mean: Number | None = None
    std: Number | None = None
    eps: Number = 1e-6

    def fixed(self, values: Tensor) -> Step:
        """With the volume's mean and standard deviation."""
        wide = values.double()
        mean = float(wide.mean()) if self.mean is None else self.mean
        std = float(wide.std(correction=0)) if self.std is None else self.std
        return FixedZeroMean(id="fixed_zero_mean_unit_variance", mean=mean, std=std + self.eps)


class ScaleRange(_Step):
    """Two percentiles of the volume become 0 and 1; values beyond them lie outside."""

    id: Literal["scale_range"]
    min_percentile: Percentile = 0.0
    max_percentile: Percentile = 100.0
    eps: Number = 1e-6

    def fixed(self, values: Tensor) -> Step:
        """With the volume's percentiles."""
        ends = np.percentile(values.numpy(), [self.min_percentile, self.max_percentile])
        gain = 1 / (float(ends[1] - ends[0]) + self.eps)
        return ScaleLinear(gain=gain, offset=-float(ends[0]) * gain)


class Clip(_Step):
    """Values kept within `min` and `max`, or within percentiles of the volume."""

    id: Literal["clip"]
    min: Number | None = None
    max: Number | None = None
    min_percentile: Percentile | None = None
    max_percentile: Percentile | None = None

    def fixed(self, values: Tensor) -> Step:
        """With percentiles as numbers."""
        return Clip(
            id="clip",
            min=_end(values, self.min, self.min_percentile),
            max=_end(values, self.max, self.max_percentile),
        )

    def apply(self, values: Tensor) -> Tensor:
        """Clipped."""
        low = -math.inf if self.min is None else self.min
        return values.clamp(low, math.inf if self.max is None else self.max)


class Binarize(_Step):
    """1 above the threshold, else 0."""

    id: Literal["binarize"]
    threshold: Number

    def apply(self, values: Tensor) -> Tensor:
        """Zeros and ones."""
        return (values > self.threshold).float()


class EnsureDtype(_Step):
    """Values are truncated for a whole-number type; there is no other effect here."""

    id: Literal["ensure_dtype"]
    dtype: str

    def apply(self, values: Tensor) -> Tensor:
        """Cut to whole numbers for a whole-number type."""
        return values.trunc() if "int" in self.dtype else values


class Sigmoid(_Step):
    """Logits to probabilities."""

    id: Literal["sigmoid"]

    def apply(self, values: Tensor) -> Tensor:
        """1 / (1 + exp(-value))."""
        return values.sigmoid()


class Softmax(_Step):
    """Logits to probabilities that sum to 1 over the channels."""

    id: Literal["softmax"]
    axis: Literal["channel"] = "channel"

    def apply(self, values: Tensor) -> Tensor:
        """Over axis 1 of (N, C, ...)."""
        return values.softmax(dim=1)


Plain = ScaleLinear | FixedZeroMean | Clip | Binarize | EnsureDtype | Sigmoid
Before = Annotated[Plain | ZeroMean | ScaleRange, Field(discriminator="id")]
After = Annotated[Plain | Softmax, Field(discriminator="id")]
Step = Plain | ZeroMean | ScaleRange | Softmax


@dataclass(frozen=True)
class Prepared:
    """A volume's constants: the steps before a network, with the volume's statistics filled in."""

    steps: tuple[Step, ...]

    def apply(self, values: Tensor) -> Tensor:
        """`values` as float32 after all steps."""
        return through(self.steps, values.to(torch.float32))


def through(steps: Iterable[Step], values: Tensor) -> Tensor:
    """`values` after all `steps`."""
    for step in steps:
        values = step.apply(values)
    return values


def prepared(steps: Iterable[Step], sample: npt.NDArray[Any]) -> Prepared:
    """The steps with the statistics of `sample`, each those of what comes out of the one before.

    VolumeError when a voxel is not a number.
    """
    values = torch.from_numpy(np.ascontiguousarray(sample, dtype=np.float32))
    if not bool(torch.isfinite(values).all()):
        raise VolumeError("a volume with NaN or infinite voxels cannot be normalised; replace them")
    done: list[Step] = []
    for step in steps:
        done.append(step.fixed(values))
        values = done[-1].apply(values)
    return Prepared(tuple(done))


def _end(values: Tensor, number: float | None, percentile: float | None) -> float | None:
    if percentile is None:
        return number
    return float(np.percentile(values.numpy(), percentile))

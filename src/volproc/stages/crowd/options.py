"""[crowd]: simulated volunteers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from volproc.config.options import Count, FilePath, Options


class CrowdOptions(Options):
    """Simulated volunteers."""

    RENAMED: ClassVar[Mapping[str, str]] = {"truth": "ground_truth"}

    ground_truth: FilePath = ""
    """In a workflow: the label volume (OME-Zarr) that they draw, on the image's grid."""
    volunteers: Count = 21
    """Who look at each slice."""
    crowd: Literal["clean", "typical", "bad"] = "typical"
    """How well they draw."""
    classifier: Literal[1, 2] = 2
    """Version of Zooniverse's classifier whose export is written."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Same seed, same drawings."""
    slices: tuple[int, int] | None = None
    """These z slices only: first, and one past the last."""
    labels: tuple[int, ...] = ()
    """Label values that are the object; all but 0 if empty."""
    scale: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Size of the images that they see over that of the slices."""

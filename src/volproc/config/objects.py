"""Tables about what is found in images."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from volproc.config.options import Count, Fraction, Options, Voxels
from volproc.grid.blocks import Connectivity


class LabelOptions(Options):
    """Connected components of the prediction."""

    connectivity: Connectivity = 26
    """Which voxels are neighbours: 6 share a face, 18 also an edge, 26 also a corner."""
    threshold: Fraction = 0.5
    """Probability from which a voxel is foreground."""
    min_volume_um3: Annotated[float, Field(ge=0)] = 1.25
    """Smaller objects are dropped; um³."""
    native: bool = False
    """Also write the labels on the image's own grid."""
    block: Voxels | None = None
    """Voxels one task labels; by default one shard of the output."""


class EvaluateOptions(Options):
    """Scores against a label volume."""

    truth: str = ""
    """An OME-Zarr label volume of the same field of view (`volproc ingest --labels` makes one)."""
    truth_labels: tuple[int, ...] = ()
    """Label values that count as foreground; all but 0 if empty."""
    slices: tuple[int, int] | None = None
    """Score these z slices of the truth only: first, and one past the last."""
    threshold: Fraction = 0.5
    """Probability from which a voxel counts as foreground."""


class ReportOptions(Options):
    """The page at the end."""

    title: str = ""
    """Heading of the page; by default the name of the source."""
    slices: Count = 3
    """Pictures along each axis."""

"""[label]: connected components, and which of them are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from volproc.config.options import Count, Fraction, NotNegative, Options, Positive, Triple, Voxels
from volproc.grid.blocks import Connectivity


class LabelOptions(Options):
    """Connected components of the prediction, and which of them are kept."""

    RENAMED: ClassVar[Mapping[str, str]] = {"native": "image_grid"}

    input: Literal["mask", "classes", "labels"] = "mask"
    """mask: foreground that touches is one object. classes: only equal values connect.
    labels: equal values are one object wherever they are; for filtering and renumbering."""
    object_class: str = ""
    """Of a prediction of several classes, that whose objects are labelled. Without it, input =
    "classes" gives each voxel to its likeliest class, and the table names the class of each object;
    a run does so by itself."""
    connectivity: Connectivity = 26
    """Which voxels are neighbours: 6 share a face, 18 also an edge, 26 also a corner."""
    threshold: Fraction = 0.5
    """Probability from which a voxel is foreground."""
    min_volume_um3: NotNegative = 1.25
    """Smaller objects are dropped; um³."""
    max_volume_um3: Positive | None = None
    """Larger objects are dropped; um³."""
    border: Literal["keep", "drop"] = "keep"
    """What becomes of objects that touch the volume's border, and so may be cut."""
    largest: Count | None = None
    """Keep only so many, the largest of those that all else keeps."""
    min_extent_nm: tuple[NotNegative, NotNegative, NotNegative] = (0.0, 0.0, 0.0)
    """Objects whose bounding box is shorter along an axis are dropped; nm, z y x."""
    max_extent_nm: Triple | None = None
    """Objects whose bounding box is longer along an axis are dropped; nm, z y x."""
    max_elongation: Annotated[float, Field(ge=1)] | None = None
    """More elongated objects are dropped: longest over shortest axis of the ellipsoid that has
    the same moments, 1 for a ball."""
    keep_ids: bool = False
    """Objects keep the ids of the input instead of being numbered 1 to n; for input = labels."""
    image_grid: bool = False
    """Also write the labels on the image's own grid."""
    block: Voxels | None = None
    """Voxels one task labels; by default one shard of the output."""

    @model_validator(mode="after")
    def _ids_to_keep(self) -> Self:
        if self.keep_ids and self.input != "labels":
            raise ValueError(
                f"[label] keep_ids = true needs input = 'labels', not {self.input!r}: components "
                "have no ids of their own"
            )
        return self

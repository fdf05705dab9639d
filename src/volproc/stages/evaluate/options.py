"""[evaluate]: scores against a ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import model_validator

from volproc.config.options import FilePath, Fraction, Options, Positive


class EvaluateOptions(Options):
    """Scores against a label volume."""

    RENAMED: ClassVar[Mapping[str, str]] = {
        "truth": "ground_truth",
        "truth_labels": "ground_truth_labels",
    }

    ground_truth: FilePath = ""
    """An OME-Zarr label volume of the image or a part of it (`volproc ingest --labels` makes one);
    compared where its metadata put it."""
    ground_truth_labels: tuple[int, ...] = ()
    """Label values that count as foreground; all but 0 if empty."""
    object_class: str = ""
    """Of a prediction of several classes, that which is scored."""
    slices: tuple[int, int] | None = None
    """Score these z slices of the ground truth only: first, and one past the last."""
    threshold: Fraction = 0.5
    """Probability from which a voxel counts as foreground."""
    ignore: FilePath = ""
    """A mask on the grid of the ground truth (`volproc annotate` writes one): voxels that are not 0
    there are not scored."""
    surfaces: Literal["3d", "2d", "both", "none"] = "3d"
    """Compare surfaces in space, outlines slice by slice, both, or neither. Of a single slice,
    "3d" is "2d"."""
    tolerances_nm: tuple[Positive, ...] = (50.0, 100.0)
    """Distances within which surfaces agree: NSD and boundary F are given for each; nm."""
    most_distance_nm: Positive = 500.0
    """Distances between surfaces that are larger count as this; nm. Blocks read so much around
    them, so time and memory grow with it."""
    objects: bool = True
    """Also score objects (PQ, VOI, Rand, splits, merges) where both sides are labels."""

    @model_validator(mode="after")
    def _tolerances_are_within_reach(self) -> EvaluateOptions:
        if self.tolerances_nm and max(self.tolerances_nm) > self.most_distance_nm:
            raise ValueError(
                f"[evaluate] tolerances_nm has {max(self.tolerances_nm):g}, but distances beyond "
                f"most_distance_nm = {self.most_distance_nm:g} are not told apart: raise that"
            )
        return self

"""[evaluate]: scores against a ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from volproc.config.options import FilePath, Fraction, Options


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

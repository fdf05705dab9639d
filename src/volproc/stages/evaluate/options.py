"""[evaluate]: scores against a ground truth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import model_validator

from volproc.config.options import FilePath, Fraction, Options, Positive

_CLASS = re.compile(r"([^=]*[^=\s][^=]*)=\s*(-?\d+(?:\s*,\s*-?\d+)*)\s*")


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
    """Of a prediction of several classes, or of votes for them, the one that is scored; its values
    in the ground truth are ground_truth_labels. Of several at once: classes."""
    classes: tuple[str, ...] = ()
    """Classes to be scored one by one, each "NAME=VALUE" or "NAME=VALUE,VALUE", such as
    "nucleus=1,2": these values of the ground truth against the result's channel of that name, or
    against the same values in a result of labels. Instead of ground_truth_labels."""
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
    reference: bool = False
    """Also score as the published code did: average Hausdorff distance over all pixels of the
    masks, in pixels, slices without one side left out."""
    votes_in_full: bool = False
    """Also score surfaces, thresholds and objects of every vote and fusion that is not the result
    itself; else only their overlap."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where distances between surfaces in space are found, to the same digits. cuda: on a GPU by
    cupy, which needs the extra gpu (or gpu13 for CUDA 13); not measured yet."""
    csv: bool = False
    """Also write all rows as CSV: of the whole, slices, objects and thresholds."""
    page: bool = False
    """Also write a page with charts and pictures of the worst places."""

    @property
    def values_of_classes(self) -> dict[str, tuple[int, ...]]:
        """Values of the ground truth by class."""
        return {name: values for name, values in map(_class, self.classes)}

    @model_validator(mode="after")
    def _classes_stand_alone(self) -> EvaluateOptions:
        if self.values_of_classes and self.ground_truth_labels:
            raise ValueError(
                "[evaluate] classes and ground_truth_labels both choose values of the ground "
                "truth; give one of them"
            )
        if self.values_of_classes and self.object_class:
            raise ValueError(
                f"[evaluate] classes names all that is scored, and object_class = "
                f"{self.object_class!r} one; give one of them"
            )
        return self

    @model_validator(mode="after")
    def _tolerances_are_within_reach(self) -> EvaluateOptions:
        if self.tolerances_nm and max(self.tolerances_nm) > self.most_distance_nm:
            raise ValueError(
                f"[evaluate] tolerances_nm has {max(self.tolerances_nm):g}, but distances beyond "
                f"most_distance_nm = {self.most_distance_nm:g} are not told apart: raise that"
            )
        return self


def _class(text: str) -> tuple[str, tuple[int, ...]]:
    """The name and values of NAME=VALUE,VALUE; ValueError for anything else."""
    found = _CLASS.fullmatch(text)
    if not found:
        raise ValueError(
            f"[evaluate] classes has {text!r}, expected NAME=VALUE or NAME=VALUE,VALUE, such as "
            "nucleus=1,2"
        )
    return found[1].strip(), tuple(int(value) for value in found[2].split(","))

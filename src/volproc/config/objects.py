"""Tables about what is found in images."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from volproc.config.options import (
    Count,
    Fraction,
    Id,
    NotNegative,
    Options,
    Positive,
    Triple,
    Voxels,
)
from volproc.grid.blocks import Connectivity


class LabelOptions(Options):
    """Connected components of the prediction, and which of them are kept."""

    input: Literal["mask", "classes", "labels"] = "mask"
    """mask: foreground that touches is one object. classes: only equal values connect.
    labels: equal values are one object wherever they are; for filtering and renumbering."""
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
    native: bool = False
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


class InteriorOptions(Options):
    """From an envelope to the nuclei that it encloses."""

    threshold: Fraction = 0.5
    """Probability from which a voxel is envelope."""
    gap_nm: NotNegative = 600.0
    """Holes in the envelope up to this wide are bridged: only what is deeper inside than half of it
    is sought, and grows back to the envelope; nm. With 0 what is enclosed is filled as it is."""
    reach_nm: NotNegative = 1000.0
    """How far the inside grows back, along ways that do not cross the envelope; at least `gap_nm`
    is taken; nm."""
    volume: bool = True
    """Fill the volume as a whole; one vote on what is inside."""
    axes: Literal["", "z", "y", "x", "zy", "zx", "yx", "zyx"] = "z"
    """Also fill slices across these axes, a vote each; z where people draw outlines in slices,
    which stay open between them."""
    votes: Annotated[int, Field(ge=1, le=4)] | None = None
    """How many must say that a voxel is inside; by default at least half: of two, either."""
    open_share: Fraction = 0.65
    """An interior has at most this share of its surface on the volume's border, where it is cut."""
    max_volume_um3: Positive = 3000.0
    """Larger regions are not interiors: the outside that is left of a leak; um³."""
    min_volume_um3: NotNegative = 1.25
    """Smaller interiors are dropped; um³, without the envelope."""
    envelope_nm: NotNegative = 250.0
    """Envelope within this distance of an interior belongs to the nearest; nm."""
    block: Voxels | None = None
    """Voxels of one task; by default 16 million."""

    @model_validator(mode="after")
    def _enough_voters(self) -> Self:
        voters = len(self.axes) + self.volume
        if not voters:
            raise ValueError("[interior] volume = false without axes fills nothing; name axes")
        if self.votes and self.votes > voters:
            raise ValueError(
                f"[interior] votes = {self.votes} with volume = {str(self.volume).lower()} and "
                f"axes = {self.axes!r}: no voxel gets so many votes; lower them or name more axes"
            )
        return self


MeshFormat = Literal["ply", "obj", "glb", "precomputed"]


class MeasureOptions(Options):
    """Numbers about every object, and its mesh."""

    smooth_nm: NotNegative | None = None
    """How far surfaces are smoothed, which takes the steps of voxels off them: sigma of a Gaussian;
    nm; by default the longest edge of a voxel."""
    mesh_voxel_nm: Positive | None = None
    """Make surfaces of the finest level whose voxels are at least so long; nm. By default of the
    finest with voxels up to twice as long as wide."""
    closed: bool = True
    """Meshes of objects that the volume's border cuts end there in a flat cut; else they are
    open."""
    meshes: MeshFormat | Literal["none"] = "none"
    """Write each object's mesh: as a file of its own (PLY, OBJ, GLB), or as neuroglancer reads them
    (precomputed: with several resolutions). Needs the extra mesh."""
    mesh_error_nm: NotNegative = 25.0
    """Meshes are simplified as far as no vertex is farther from the full mesh, nor one of its from
    them; nm. 0: they are not simplified, which needs no extra."""
    mesh_ids: tuple[Id, ...] = ()
    """Meshes of these objects only; all if empty."""
    threshold: Fraction = 0.5
    """Vote from which an axis says yes, for the agreement."""
    parquet: bool = False
    """Also write objects.parquet; needs the extra parquet."""
    properties: bool = True
    """Also write a few columns into the labels' own metadata, where viewers look for them."""

    @field_validator("meshes", mode="before")
    @classmethod
    def _single_resolution_is_gone(cls, value: object) -> object:
        if value == "precomputed-legacy":
            raise ValueError(
                "[measure] meshes = 'precomputed-legacy' is no longer written; take "
                "'precomputed', which neuroglancer and cloud-volume read as well"
            )
        return value


class EvaluateOptions(Options):
    """Scores against a label volume."""

    truth: str = ""
    """An OME-Zarr label volume of the image or a part of it (`volproc ingest --labels` makes one);
    compared where its metadata put it."""
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

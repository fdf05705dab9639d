"""[interior]: nuclei from envelopes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from volproc.config.options import Fraction, NotNegative, Options, Positive, Voxels


class InteriorOptions(Options):
    """From an envelope to the nuclei that it encloses."""

    object_class: str = ""
    """Of a prediction of several classes, that which is the envelope."""
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
    device: Literal["cpu", "cuda"] = "cpu"
    """Where distances and growth are computed, with the same bits. cuda: on a GPU by cupy, which
    needs the extra gpu (or gpu13 for CUDA 13); not measured yet."""

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

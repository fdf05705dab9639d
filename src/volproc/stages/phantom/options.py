"""[phantom]: a synthetic volume with its ground truth."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from volproc.config.options import Fraction, NotNegative, Options, Positive, Triple, Voxels

Share = Annotated[float, Field(ge=0, le=10)]
"""A factor on what HeLa cells show: 0 for none of it, 1 for as much."""
Size = Annotated[float, Field(ge=0.2, le=1.2)]
Grey = Annotated[float, Field(ge=0, le=255)]


class PhantomOptions(Options):
    """A made volume with its truth."""

    shape: Voxels = (128, 1024, 1024)
    """Voxels (z, y, x)."""
    voxel_nm: Triple = (50.0, 10.0, 10.0)
    """Voxel size in nm (z, y, x)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Same seed, same voxels."""
    cell_density: Fraction = 1.0
    """Share of the places for cells that hold one; 1 is packed as in a pellet, 0 is bare resin."""
    look: Literal["hela", "varied"] = "hela"
    """hela: as EMPIAR-10094. varied: every option below that is not given is drawn from the seed,
    so phantoms of other seeds look like other samples under other microscopes. Numbers that have
    no unit are factors: 1 is as in HeLa cells."""
    nucleus_size: Size | None = None
    """Diameter of nuclei; 1 is 8 to 11 um."""
    irregularity: Share | None = None
    """How far nuclei are from ellipsoids: lobes and crenated outlines."""
    folds: Share | None = None
    """Number of invaginations of a nucleus."""
    fold_width: Share | None = None
    """Width of the invaginations; 1 is 0.1 to 0.3 um."""
    cytoplasm: Annotated[float, Field(ge=0.2, le=2)] | None = None
    """Thickness of the cytoplasm around nuclei."""
    ragged: Annotated[float, Field(ge=0, le=1.3)] | None = None
    """Size of the blebs by which cells differ from ellipsoids."""
    villi: Annotated[float, Field(ge=0, le=2)] | None = None
    """Fine outgrowths of the cells' surface; HeLa's is 0."""
    lumps: Fraction | None = None
    """Shed lumps of cytoplasm in the resin, without organelles; HeLa's is 0, none."""
    bare_rim_nm: NotNegative | None = None
    """Cytoplasm beneath the cells' surface that has no organelles; HeLa's is 0."""
    organelles: Share | None = None
    """Number of mitochondria, lysosomes and vesicles; above 1.25 mitochondria are everywhere."""
    debris: Share | None = None
    """Number of round bodies in the resin."""
    debris_size: Annotated[float, Field(gt=0, le=2)] | None = None
    """Diameter of these bodies."""
    nucleus_grey: Grey | None = None
    """Grey level of nuclei; HeLa's is 156."""
    cytoplasm_grey: Grey | None = None
    """Grey level of cytoplasm, with whose change all that is in it changes; HeLa's is 150."""
    resin_grey: Grey | None = None
    """Grey level of what is around the cells; HeLa's is 203."""
    mitochondria_grey: Grey | None = None
    """Grey level of mitochondria in cytoplasm of 150; HeLa's is 128."""
    envelope_nm: Annotated[float, Field(ge=50, le=300)] | None = None
    """Thickness of the nuclear envelope; HeLa's is 77."""
    membranes: Share | None = None
    """Contrast of the nuclear envelope and of the cells' membrane."""
    reticulum: Share | None = None
    """Contrast of the endoplasmic reticulum."""
    lamellae: Share | None = None
    """Contrast of a sheet of reticulum along the nucleus; HeLa's is 0."""
    heterochromatin: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Grey levels by which nuclei are darker beneath their envelope; HeLa's is 8."""
    chromatin: Share | None = None
    """Contrast of the coarse texture in nuclei."""
    nucleoli: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Grey levels by which nucleoli are darker than their nucleus; HeLa's is 13."""
    grain: Share | None = None
    """Contrast of the fine texture of nuclei, cytoplasm and resin."""
    contrast: Positive | None = None
    """Contrast of everything but the noise, about a grey level of 160."""
    noise: Share | None = None
    """Spread of the noise; 1 is 8 grey levels at 10 nm, 4 at 50 nm."""
    blur_nm: Annotated[float, Field(ge=0, le=500)] | None = None
    """Width by which edges are blurred, besides that of a voxel; HeLa's is 0."""
    slice_steps: Share | None = None
    """Steps of brightness from slice to slice; 1 is up to 7 grey levels."""
    charging: Share | None = None
    """Strength of the bright stripe and of the dark smears in resin."""
    resin_tone: Annotated[float, Field(ge=-10, le=10)] | None = None
    """How much brighter some regions of resin are; below 0 they are darker, and hold the smears."""
    inverted: bool | None = None
    """Bright where it is dark otherwise, as other detectors show it; never drawn."""

"""[measure]: numbers about objects, and meshes."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from volproc.config.options import Fraction, Id, NotNegative, Options, Positive

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
    object_class: str = ""
    """Of votes for several classes, those that the agreement is of."""
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

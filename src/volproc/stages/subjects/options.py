"""[subjects]: slices for volunteers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from volproc.config.options import Count, FilePath, Options, Voxels


class SubjectsOptions(Options):
    """Slices for volunteers."""

    rois: tuple[tuple[int, int, int, int, int, int], ...] = ()
    """Regions (z, y, x of the first voxel, then their lengths); tiled over the volume if empty."""
    rois_file: FilePath = ""
    """A CSV with columns z, y, x, depth, height, width that lists them, the most wanted first."""
    rois_first: Annotated[int, Field(ge=0)] = 0
    """Of the regions in that file, the first so many; 0 is all."""
    roi: Voxels = (50, 2000, 2000)
    """Voxels (z, y, x) of a region where the volume is tiled."""
    frames: Annotated[int, Field(ge=1)] = 5
    """Slices shown with a subject, the one to draw on in the middle; near the ends of a region they
    are shifted rather than fewer, and it is not in the middle there."""
    every: Count = 1
    """One subject for every so many slices."""
    format: Literal["jpeg", "png"] = "jpeg"
    """Of the images."""
    scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Size of the images over that of the slices; 0.5 halves it."""
    largest_bytes: Count = 1_000_000
    """Of one image; the quality is lowered until it fits. Zooniverse takes up to 1 MiB."""
    attribution: str = ""
    """Whose images they are, shown to volunteers."""

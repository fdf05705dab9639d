"""[phantom]: a synthetic volume with its ground truth."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from volproc.config.options import Fraction, Options, Triple, Voxels


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

"""Labels on another grid, such as the image's own: every voxel takes the label at its centre."""

from __future__ import annotations

from volproc.engine.protocol import Step
from volproc.stages import native_grid as grids
from volproc.volume.metadata import VolumeInfo
from volproc.volume.sampling import sampling_to


def native_step(labels: VolumeInfo, native: VolumeInfo, *, digest: str) -> Step:
    """Write `labels` into `native`; VolumeError if the two do not cover the same space."""
    way = sampling_to(labels, native)
    return grids.native_step(labels, native, way, name="native labels", digest=digest)

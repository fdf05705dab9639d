"""Label volumes as masks of 100 nm: 1 where at least half of a voxel is labelled.

    python coarse_labels.py LABELS.zarr... OUT

Training samples labels at the centres of its voxels. Between voxels of 50 nm the centre of one of
100 nm lies on a corner, so one side would be preferred, and every nucleus shifted by 25 nm.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from volproc import __version__, create_volume, open_volume
from volproc.grid.box import each, whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.volume.metadata import new_volume

COARSE_NM = 100.0


def most_of(labels: npt.NDArray[np.integer], factor: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """1 where at least half of the voxels that become one are labelled."""
    z, y, x = (n // f for n, f in zip(labels.shape, factor, strict=True))
    dz, dy, dx = factor
    parts = (labels[: z * dz, : y * dy, : x * dx] != 0).reshape(z, dz, y, dy, x, dx)
    return (parts.mean((1, 3, 5)) >= 0.5).astype(np.uint8)


def main(sources: list[str], out: Path) -> None:
    """Write OUT/NAME.zarr for every source, named after the volume that the labels belong to."""
    for source in sources:
        labels = open_volume(source)
        factor = each(lambda nm: round(COARSE_NM / nm), labels.info.voxel_nm)
        mask = most_of(labels.read(labels.info.box), factor)
        name = Path(source.partition(".zarr")[0]).name
        info = new_volume(
            str(out / f"{name}.zarr"),
            shape=whole_box(mask.shape).shape,
            voxel_nm=parse_voxel_nm((COARSE_NM,) * 3),
            dtype="uint8",
            kind="labels",
            max_levels=1,
        )
        volume = create_volume(info, step="prepare", digest=source, version=__version__)
        volume.write(info.box, mask)
        volume.finish()


if __name__ == "__main__":
    main(sys.argv[1:-1], Path(sys.argv[-1]))

"""An array of a benchmark as a finished volume, made once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import volproc
from volproc.grid.scale import parse_voxel_nm


def saved(
    path: Path,
    values: np.ndarray,
    voxel_nm: Sequence[float],
    *,
    corner_nm: Sequence[float] = (0.0, 0.0, 0.0),
    kind: Any = "labels",
) -> str:
    """The address of `values`, with voxels of `voxel_nm` from `corner_nm` on (z, y, x)."""
    info = volproc.new_volume(
        str(path),
        shape=values.shape,
        voxel_nm=parse_voxel_nm(tuple(voxel_nm)),
        corner_nm=tuple(corner_nm),
        dtype=str(values.dtype),
        kind=kind,
        max_levels=1,
    )
    if not path.exists():
        how = {"step": "benchmark", "digest": path.name, "version": volproc.__version__}
        made = volproc.create_volume(info, **how)
        made.write(info.box, values)
        made.finish()
    return info.url


def saved_in(path: Path, values: np.ndarray, like: Any, *, start: Any = (0, 0, 0)) -> str:
    """The address of labels that begin at voxel `start` of the volume `like`, on its grid."""
    nm, corner = like.info.voxel_nm, like.info.corner_nm
    there = [c + a * v for c, a, v in zip(corner, start, nm, strict=True)]
    return saved(path, values, nm, corner_nm=there)

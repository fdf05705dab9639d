"""An array of a benchmark as a finished volume, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import volproc


def saved(
    path: Path, values: np.ndarray, like: Any, *, start: Any = (0, 0, 0), kind: str = "labels"
) -> str:
    """The address of `values`, which begin at voxel `start` of `like` and have its voxel size."""
    nm, corner = like.info.voxel_nm, like.info.corner_nm
    info = volproc.new_volume(
        str(path),
        shape=values.shape,
        voxel_nm=nm,
        corner_nm=tuple(c + a * v for c, a, v in zip(corner, start, nm, strict=True)),
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

"""The table of objects: what people read, in voxels and nm, as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.spreadsheet import table_csv
from volproc.stages.objects.shape import elongation, touches_border
from volproc.stages.objects.statistics import Statistics, no_statistics

Columns = dict[str, npt.NDArray[Any]]
Rows = tuple[npt.NDArray[Any], Statistics]
"""Ids of some objects, and what is known of them."""


def describe(
    ids: npt.NDArray[Any],
    objects: Statistics,
    *,
    voxel_nm: VoxelNm,
    shape: Shape,
    values: str | tuple[str, ...] | None = None,
) -> Columns:
    """Columns of the table of objects.

    With `values`, the type of the input's values, those too; if they are numbers of classes,
    counted from 1, `values` are the names of these.

    Coordinates in voxels are indices (a centroid of 2.0 is the centre of voxel 2, `stop` is
    exclusive). In nm they count from the volume's corner: voxel i covers i to i + 1 voxel sizes.
    """
    size = np.array(voxel_nm)
    centroid = objects.sums / objects.voxels[:, None]
    places = {
        "start_{}": objects.start,
        "stop_{}": objects.stop,
        "centroid_{}": centroid,
        "start_{}_nm": objects.start * size,
        "stop_{}_nm": objects.stop * size,
        "centroid_{}_nm": (centroid + 0.5) * size,
    }
    return {
        "id": ids,
        "voxels": objects.voxels,
        "volume_um3": objects.voxels * float(size.prod()) * 1e-9,
        **{
            name.format(axis): columns[:, i]
            for name, columns in places.items()
            for i, axis in enumerate("zyx")
        },
        "touches_border": touches_border(objects, shape=shape),
        "elongation": elongation(objects, voxel_nm=voxel_nm),
        **_values(objects, values),
    }


def _values(objects: Statistics, values: str | tuple[str, ...] | None) -> Columns:
    if isinstance(values, tuple):
        return {"class": np.array(values)[objects.value.astype(np.intp) - 1]}
    return {"value": objects.value.astype(values)} if values else {}


def columns_of(rows: Iterable[Rows], **how: Any) -> Columns:
    """One table of all objects; `how` as for `describe`."""
    nothing = describe(np.empty(0, dtype=np.uint32), no_statistics(), **how)
    parts = [describe(ids, objects, **how) for ids, objects in rows] or [nothing]
    return {name: np.concatenate([part[name] for part in parts]) for name in nothing}


def csv_parts(rows: Iterable[Rows], **how: Any) -> Iterator[bytes]:
    """The table as pandas and spreadsheets read it, part by part; `how` as for `describe`."""
    nothing = describe(np.empty(0, dtype=np.uint32), no_statistics(), **how)
    yield (",".join(nothing) + "\n").encode()
    for ids, objects in rows:
        yield to_csv(describe(ids, objects, **how)).encode()


def to_csv(columns: Mapping[str, npt.NDArray[Any]]) -> str:
    """The lines of a table, without a header.

    >>> to_csv({"id": np.array([1]), "centroid_z_nm": np.array([100 / 3])})
    '1,33.3333333\\n'
    """
    texts = [map(_number, values.tolist()) for values in columns.values()]
    return "".join(",".join(row) + "\n" for row in zip(*texts, strict=True))


def _number(value: Any) -> str:
    if isinstance(value, str):
        return table_csv((), [(value,)], end="")
    return f"{value:.9g}" if isinstance(value, float) else str(value)

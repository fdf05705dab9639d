"""What an HDF5 data set says of its axes, voxel size, position and values, by several conventions.

- Axes: `axistags` (ilastik, vigra), `axes`, `axis_names` or `axisLabels` (openPMD), HDF5's own
  dimension labels, the names of attached dimension scales (netCDF). Slowest first.
- Voxel size: `resolution`, in nm if it has no unit (CREMI, https://cremi.org/data);
  `voxel_size` with a unit (funlib); `element_size_um` in µm (ImageJ's HDF5 plugin, ilastik,
  ImSwitch). Along the stored axes, or those of space alone.
- Position: `offset` in the unit of the voxel size (CREMI, funlib).
- Labels: what is in a group called `labels` (CREMI).
- BigDataViewer's cells are unsigned, though stored as int16: its library knew no other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from volproc.grid.axes import Places, axis_of
from volproc.grid.box import each
from volproc.grid.units import in_nm, nm_per, typed
from volproc.stages.ingest.voxel_source import Calibration

_UNITS = ("resolution_unit", "resolution_units", "units", "unit")
_SIZES = {"resolution": (_UNITS, "nm"), "voxel_size": (_UNITS, ""), "element_size_um": ((), "µm")}
"""The attributes that have the unit of one, and the unit where there is none of them."""
_CELLS = re.compile(r"t\d{5}/s\d\d/\d+/cells")


def axis_names(dataset: h5py.Dataset) -> list[str]:
    """The file's words for the axes, slowest first; none where it has no word for any."""
    tags = _texts(dataset.attrs.get("axistags"))
    if tags:
        return [str(axis["key"]) for axis in json.loads(tags[0])["axes"]]
    for name in ("axes", "axis_names", "axisLabels"):
        words = _texts(dataset.attrs.get(name))
        if len(words) == 1:  # z y x, or z, y, x, or zyx
            words = re.findall(r"\w+", words[0])
            words = [*words[0]] if len(words) == 1 and all(map(axis_of, words[0])) else words
        if any(map(axis_of, words)):
            return words
    return [_dimension(dataset, axis) for axis in range(dataset.ndim)]


def _dimension(dataset: h5py.Dataset, axis: int) -> str:
    scales = dataset.dims[axis]
    attached = "" if not len(scales) else str(scales[0].name).rpartition("/")[2]
    return str(scales.label) or attached


def stated_of(dataset: h5py.Dataset, places: Places) -> Calibration:
    """Voxel size and position, by the first of the attributes above that states all three sizes."""
    for name, (unit_names, default) in _SIZES.items():
        sizes = _of_space(dataset, name, places)
        units = _units(dataset, places, unit_names) or [default] * 3
        if len(sizes) == 3 and None not in (found := each(in_nm, sizes, units)):
            offset = _of_space(dataset, "offset", places) or [0.0] * 3
            return Calibration(found, each(lambda n, u: n * (nm_per(u) or 1), offset, units))
    return Calibration()


def is_labels(dataset: h5py.Dataset) -> bool:
    """Whether it is in a group of labels."""
    return "labels" in str(dataset.name).lower().split("/")[:-1]


def dtype_of(dataset: h5py.Dataset) -> str:
    """numpy's name of what the voxels are, in this machine's byte order."""
    stored = str(dataset.dtype.newbyteorder("="))
    cells = _CELLS.search(str(dataset.name))
    return "uint16" if cells and stored == "int16" else stored


def _of_space(dataset: h5py.Dataset, name: str, places: Places) -> list[float]:
    """Numbers along z, y and x; none if the attribute has others than one per axis."""
    found = np.atleast_1d(np.asarray(dataset.attrs.get(name, ())))
    values = [typed(number) for number in found] if found.dtype.kind in "iuf" else []
    return _in_order(values, dataset.ndim, places)


def _units(dataset: h5py.Dataset, places: Places, names: Sequence[str]) -> list[str]:
    """The unit along z, y and x by the first of the attributes `names` that is there."""
    texts = next((t for t in (_texts(dataset.attrs.get(n)) for n in names) if t), [])
    return texts * 3 if len(texts) == 1 else _in_order(texts, dataset.ndim, places)


def _in_order(values: list[Any], count: int, places: Places) -> list[Any]:
    if len(places.stored) != 3:
        return []
    if len(values) == 3 < count:  # of space alone, in its stored order
        order = sorted(places.stored)
        return [values[order.index(axis)] for axis in places.stored]
    return [values[axis] for axis in places.stored] if len(values) == count else []


def _texts(found: Any) -> list[str]:
    """An attribute that is text, or a list of texts."""
    if found is None or isinstance(found, h5py.Empty):
        return []
    values: Sequence[Any] = np.atleast_1d(np.asarray(found, dtype=object)).ravel().tolist()
    texts = [v.decode(errors="replace") if isinstance(v, bytes) else v for v in values]
    return texts if all(isinstance(text, str) and text for text in texts) else []

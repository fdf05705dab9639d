"""HDF5: one data set of a file, FILE.h5 or FILE.h5/INNER/DATASET.

Which data set, where none is named: of the grey ones with three dimensions the largest, if no
other one is as large; with none of three dimensions, the same of those with two. Dimensions of
length 1 do not count where there are more than three: the last, then the first, then the others.

Voxel size, (z, y, x), from an attribute of the data set:

- `resolution` in nm: CREMI (https://cremi.org/data).
- `element_size_um` in µm: ImageJ's HDF5 plugin, ilastik, ImSwitch
  (https://imswitch.readthedocs.io/en/stable/Hdf5datafile.html).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.grid.units import in_nm, typed
from volproc.location import located
from volproc.stages.ingest.source import Stamp, opened, reading, stamp

_GREY = {"bool", "float16", "float32", "float64"}
_GREY |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_ATTRIBUTES = {"resolution": "nm", "element_size_um": "µm"}
_MANY = 8
"""Data sets that a message lists."""


def is_hdf5(head: bytes) -> bool:
    """Whether a file that begins like this is HDF5 (one with a user block in front is not seen)."""
    return head[:8] == b"\x89HDF\r\n\x1a\n"


def split_hdf5(url: str) -> tuple[str, str]:
    """A file and the data set inside it, "" where the URL names none.

    >>> split_hdf5("s3://data/cremi.h5/volumes/raw"), split_hdf5("crop.hdf5")
    (('s3://data/cremi.h5', 'volumes/raw'), ('crop.hdf5', ''))
    """
    parts = re.fullmatch(r"(.*?\.(?:h5|hdf5|hdf|he5))(?:/(.*))?", url.rstrip("/"), re.IGNORECASE)
    return (parts[1], parts[2] or "") if parts else (url, "")


@dataclass(frozen=True)
class Hdf5Dataset:
    """A data set; `axes` are the places of z, y and x (or y and x) among its dimensions."""

    url: str
    inner: str
    shape: Shape
    dtype: str
    voxel_nm: VoxelNm | None
    identity: tuple[Stamp, ...]
    by_rows: bool
    axes: tuple[int, ...]

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`; HDF5 decodes the chunks that it meets."""
        with reading(self.url), _open(self.url) as file:
            dataset = file[self.inner]
            index: list[Any] = [0] * dataset.ndim
            for axis, part in zip(self.axes, box.slices[-len(self.axes) :], strict=True):
                index[axis] = part
            # of two dimensions: one plane, or none where the box is empty
            values = np.asarray(dataset[tuple(index)], dtype=self.dtype)
            return values if len(self.axes) == 3 else values[None][box.slices[0]]


def open_hdf5(url: str) -> Hdf5Dataset:
    """The data set at FILE.h5/INNER, or the one to choose in FILE.h5; IngestError if none fits."""
    path, inner = split_hdf5(url)
    with reading(path), _open(path) as file:
        inner = inner or _chosen(path, file)
        dataset = file.get(inner)
        if not isinstance(dataset, h5py.Dataset):
            raise IngestError(
                f"{path} has no data set {inner!r}; it has {_listed(_datasets(file))}"
            )
        axes = _axes(dataset.shape or ())
        if not _grey(dataset) or not 2 <= len(axes) <= 3:
            raise IngestError(
                f"{path}: {_described(dataset)} is not a volume; expected whole or real numbers in "
                f"two or three dimensions; it has {_listed(_datasets(file))}"
            )
        _refuse_unknown_filters(path, dataset)
        *planes, rows, columns = (int(dataset.shape[axis]) for axis in axes)
        return Hdf5Dataset(
            url=path,
            inner=inner,
            shape=(planes[0] if planes else 1, rows, columns),
            dtype=str(dataset.dtype.newbyteorder("=")),
            voxel_nm=_voxel_nm(dataset, axes),
            identity=_identity(path, dataset),
            by_rows=_by_rows(dataset, axes),
            axes=axes,
        )


@contextmanager
def _open(url: str) -> Iterator[h5py.File]:
    """The file, without a lock: file systems of clusters often have none, and we only read."""
    filesystem, path = located(url)
    if "file" in np.atleast_1d(filesystem.protocol):
        with h5py.File(path, "r", locking=False) as file:
            yield file
    else:
        with opened(url) as remote, h5py.File(remote, "r") as file:
            yield file


def _datasets(file: h5py.File) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


def _chosen(url: str, file: h5py.File) -> str:
    """The name of the data set to read where none is given."""
    every = _datasets(file)
    for dimensions in 3, 2:
        fitting = [d for d in every if _grey(d) and len(_axes(d.shape)) == dimensions]
        most = max((d.size for d in fitting), default=0)
        largest = [d for d in fitting if d.size == most]
        if len(largest) == 1:
            return str(largest[0].name).strip("/")
        if largest:
            example = str(largest[0].name)
            raise IngestError(
                f"{url} holds {len(largest)} data sets of one size; name one, such as "
                f"{url}{example}: {_listed(largest)}"
            )
    raise IngestError(
        f"{url} holds no volume, expected a data set of 3 dimensions: {_listed(every)}"
    )


def _grey(dataset: h5py.Dataset) -> bool:
    """Whether it holds numbers, and any at all."""
    return bool(dataset.size) and str(dataset.dtype.newbyteorder("=")) in _GREY


def _described(dataset: h5py.Dataset) -> str:
    kind = "compound" if dataset.dtype.names else str(dataset.dtype.newbyteorder("="))
    return f"{str(dataset.name).strip('/')} {dataset.shape} {kind}"


def _listed(datasets: list[h5py.Dataset]) -> str:
    """Data sets with their shapes and types, in one line."""
    rest = [f"and {len(datasets) - _MANY} more"] if len(datasets) > _MANY else []
    return "; ".join([*map(_described, datasets[:_MANY]), *rest]) or "none"


def _axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions that count: beyond three, those of length 1 are left out."""
    axes = list(range(len(shape)))
    for axis in (len(shape) - 1, *range(len(shape) - 1)):
        if len(axes) > 3 and shape[axis] == 1:
            axes.remove(axis)
    return tuple(axes)


def _voxel_nm(dataset: h5py.Dataset, axes: tuple[int, ...]) -> VoxelNm | None:
    for name, unit in _ATTRIBUTES.items():
        found = np.atleast_1d(np.asarray(dataset.attrs.get(name, ())))
        values = [typed(size) for size in found] if found.dtype.kind in "iuf" else []
        if len(values) == dataset.ndim > 3:
            values = [values[axis] for axis in axes]
        sizes = [size for value in values if (size := in_nm(value, unit)) is not None]
        if len(values) == len(sizes) == 3:
            return parse_voxel_nm(sizes)
    return None


def _by_rows(dataset: h5py.Dataset, axes: tuple[int, ...]) -> bool:
    """Rows are cheap where no chunk is higher than a quarter of a plane."""
    return dataset.chunks is None or 4 * dataset.chunks[axes[-2]] <= dataset.shape[axes[-2]]


def _refuse_unknown_filters(url: str, dataset: h5py.Dataset) -> None:
    """IngestError for chunks compressed in a way that this HDF5 library cannot undo."""
    settings = dataset.id.get_create_plist()
    for number in range(settings.get_nfilters()):
        code, _, _, name = settings.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            raise IngestError(
                f"{url}: {_described(dataset)} is compressed with filter {code} ({name.decode()}), "
                "which is not installed; set HDF5_PLUGIN_PATH to its folder (pip install "
                "hdf5plugin has the common ones), or rewrite the file with h5repack -f GZIP=4"
            )


def _identity(url: str, dataset: h5py.Dataset) -> tuple[Stamp, ...]:
    """The stamps of the file, with the data set's name, and of those a virtual one is made of.

    IngestError where one of them is missing: HDF5 itself would show its fill value there.
    """
    name, size, date = stamp(url)
    stamps = [(f"{name}{dataset.name}", size, date)]
    parts = {part.file_name for part in dataset.virtual_sources()} if dataset.is_virtual else set()
    for part in sorted(parts - {"."}):
        try:
            stamps.append(stamp(posixpath.join(posixpath.dirname(url), part)))
        except FileNotFoundError as error:
            raise IngestError(
                f"{url}: {_described(dataset)} has parts in {part}, which is not beside it"
            ) from error
    return tuple(stamps)

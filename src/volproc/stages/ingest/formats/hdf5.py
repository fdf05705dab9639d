"""HDF5: one data set of a file, FILE.h5 or FILE.h5/INNER/DATASET.

Which data set, where none is named: of the grey ones with three dimensions the largest, if no
other one is as large; with none of three dimensions, the same of those with two. Dimensions of
length 1 do not count where there are more than three. `hdf5_metadata` has what it says of itself.
"""

from __future__ import annotations

import posixpath
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.axes import AxesError, Places, places_of
from volproc.grid.box import Box
from volproc.location import filesystem_of
from volproc.stages.ingest.formats.hdf5_metadata import axis_names, dtype_of, is_labels, stated_of
from volproc.stages.ingest.voxel_source import Source, Stamp, opened, reading, stamp

_GREY = {"bool", "float16", "float32", "float64"}
_GREY |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_MANY = 8
"""Data sets that a message lists."""


_WALK = """
import sys, h5py
with h5py.File(sys.argv[1], "r", locking=False) as file:
    file.visititems(lambda name, item: (getattr(item, "shape", 0), dict(item.attrs), None)[2])
"""
"""What a process of its own runs, since the library may crash on a damaged file."""


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


@dataclass(frozen=True, kw_only=True)
class Hdf5Dataset(Source):
    """A data set, or the channel of one."""

    url: str
    inner: str
    places: Places

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`; HDF5 decodes the chunks that it meets."""
        with reading(self.url), _open(self.url) as file:
            dataset = file[self.inner]
            index: list[Any] = list(self.places.fixed)
            for axis, part in zip(self.places.space, box.slices, strict=True):
                if axis is not None:
                    index[axis] = part
            values = np.asarray(dataset[tuple(index)])
        stored = self.places.stored
        values = values.transpose([sorted(stored).index(axis) for axis in stored])
        # the same bits: BigDataViewer's have a sign that they are stored without
        values = values.astype(values.dtype.newbyteorder("=")).view(self.dtype)
        # of two dimensions: one plane, or none where the box is empty
        return values if len(stored) == 3 else values[None][box.slices[0]]


def open_hdf5(url: str, *, axes: str = "", channel: int | None = None) -> Hdf5Dataset:
    """The data set at FILE.h5/INNER, or the one to choose in FILE.h5; IngestError if none fits.

    `axes` replaces its names of axes; of several channels `channel` is read.
    """
    path, inner = split_hdf5(url)
    with reading(path), _open(path) as file:
        inner = inner or _chosen(path, file, axes)
        dataset = file.get(inner)
        if not isinstance(dataset, h5py.Dataset):
            raise IngestError(
                f"{path} has no data set {inner!r}; it has {_listed(_datasets(file))}"
            )
        if not _grey(dataset) or dataset.ndim < 2:
            raise IngestError(
                f"{path}: {_described(dataset)} is not a volume; expected whole or real numbers in "
                f"two or three dimensions; it has {_listed(_datasets(file))}"
            )
        try:
            places = places_of(dataset.shape, axes or axis_names(dataset), channel=channel)
        except AxesError as error:
            raise IngestError(f"{path}/{inner} has {error}") from error
        _refuse_unknown_filters(path, dataset)
        return Hdf5Dataset(
            shape=places.of_space(dataset.shape),
            dtype=dtype_of(dataset),
            identity=_identity(path, dataset),
            stated=stated_of(dataset, places),
            by_rows=_by_rows(dataset, places),
            kind="labels" if is_labels(dataset) else "image",
            url=path,
            inner=inner,
            places=places,
        )


def refuse_deadly(url: str) -> None:
    """IngestError for a file on this machine that ends a process which only looks through it."""
    filesystem, path = filesystem_of(url)
    if "file" not in filesystem.protocol:
        return
    walk = [sys.executable, "-I", "-c", _WALK, path]
    end = subprocess.run(walk, capture_output=True, check=False).returncode
    if end < 0:  # any other trouble the reader names better
        name = signal.Signals(-end).name
        raise IngestError(f"{url} is damaged: HDF5's library crashes on it ({name}); copy it again")


@contextmanager
def _open(url: str) -> Iterator[h5py.File]:
    """The file, without a lock: file systems of clusters often have none, and we only read."""
    filesystem, path = filesystem_of(url)
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


def _chosen(url: str, file: h5py.File, axes: str) -> str:
    """The name of the data set to read where none is given."""
    every = _datasets(file)
    # -1: of channels, times or unknown axes, which its own refusal explains
    for dimensions in 3, 2, -1:
        fitting = [d for d in every if _grey(d) and _dimensions(d, axes) == dimensions]
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
    """Whether it has numbers, and any at all."""
    return bool(dataset.size) and str(dataset.dtype.newbyteorder("=")) in _GREY


def _described(dataset: h5py.Dataset) -> str:
    kind = "compound" if dataset.dtype.names else str(dataset.dtype.newbyteorder("="))
    return f"{str(dataset.name).strip('/')} {dataset.shape} {kind}"


def _listed(datasets: list[h5py.Dataset]) -> str:
    """Data sets with their shapes and types, in one line."""
    rest = [f"and {len(datasets) - _MANY} more"] if len(datasets) > _MANY else []
    return "; ".join([*map(_described, datasets[:_MANY]), *rest]) or "none"


def _dimensions(dataset: h5py.Dataset, axes: str) -> int:
    """How many axes of space it has; -1 if that is not known, 0 if they are too few."""
    try:
        return len(places_of(dataset.shape, axes or axis_names(dataset)).stored)
    except AxesError:
        return -1 if dataset.ndim > 2 else 0


def _by_rows(dataset: h5py.Dataset, places: Places) -> bool:
    """Rows are cheap where no chunk is higher than a quarter of a plane."""
    _, y, x = places.space
    if dataset.chunks is None:
        return y < x
    return bool(4 * dataset.chunks[y] <= dataset.shape[y])


def _refuse_unknown_filters(url: str, dataset: h5py.Dataset) -> None:
    """IngestError for chunks compressed by a filter that this HDF5 library lacks."""
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
                f"{url}: {_described(dataset)} has parts in {part}, which is not in the same folder"
            ) from error
    return tuple(stamps)

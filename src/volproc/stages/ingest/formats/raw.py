"""Voxels stored uncompressed at known places of a file, which may be gzipped as a whole."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape
from volproc.stages.ingest.voxel_source import Calibration, Source, Stamp, opened, reading


@dataclass(frozen=True, kw_only=True)
class RawPlanes(Source):
    """Planes one after the other from byte `offsets[0]`, or each at its own offset; x fastest.

    `stored` is numpy's name of their type with its byte order, such as ">f4".
    """

    url: str
    stored: str
    offsets: tuple[int, ...]

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`: its rows are read whole, its columns cut out."""
        out = np.empty(box.shape, dtype=self.dtype)
        if box.size == 0:
            return out
        as_stored = box.shape[2] == self.shape[2] and np.dtype(self.stored) == out.dtype
        rows = np.empty((0 if as_stored else box.shape[1], self.shape[2]), dtype=self.stored)
        row_bytes = self.shape[2] * rows.itemsize
        with reading(self.url), opened(self.url) as file:
            for plane, z in zip(out, range(box.start[0], box.stop[0]), strict=True):
                several = len(self.offsets) > 1
                row = box.start[1] + (0 if several else z * self.shape[1])
                file.seek(self.offsets[z if several else 0] + row * row_bytes)
                if as_stored:  # straight into its place
                    _fill(plane, file)
                else:
                    _fill(rows, file)
                    plane[:] = rows[:, box.start[2] : box.stop[2]]
        return out


@dataclass(frozen=True, kw_only=True)
class ZippedPlanes(RawPlanes):
    """`RawPlanes` of the file inside a gzipped one.

    A read decompresses all that lies before it and returns its own planes only: a volume read in n
    blocks is decompressed n / 2 times. Unpack large files first.
    """

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        out = np.empty(box.shape, dtype=self.dtype)
        plane_bytes = self.shape[1] * self.shape[2] * out.itemsize
        with reading(self.url), opened(self.url) as file, gzip.GzipFile(fileobj=file) as stream:
            stream.seek(self.offsets[0] + box.start[0] * plane_bytes)
            for plane in out:
                packed = stream.read(plane_bytes)
                if len(packed) < plane_bytes:
                    raise ValueError(f"{plane_bytes - len(packed)} bytes are missing at its end")
                values = np.frombuffer(packed, self.stored).reshape(self.shape[1:])
                plane[:] = values[box.slices[1:]]
            if box.stop[0] == self.shape[0]:
                stream.read(1)  # gzip compares its checksum at the end
        return out


def is_gzip(head: bytes) -> bool:
    """Whether a file that begins like this is gzipped."""
    return head[:2] == b"\x1f\x8b"


def raw_planes(
    url: str,
    *,
    offsets: tuple[int, ...],
    stored: str,
    shape: Shape,
    stated: Calibration,
    identity: tuple[Stamp, ...],
    zipped: bool = False,
) -> RawPlanes:
    """The planes; IngestError if the file was cut short. Of a gzipped one that shows at its end."""
    end = offsets[-1] + prod(shape[len(offsets) > 1 :]) * np.dtype(stored).itemsize
    size = identity[0][1]
    if size < end and not zipped:
        raise IngestError(
            f"{url} is cut short: {size} bytes, expected at least {end} for {shape} voxels of "
            f"{np.dtype(stored).name}; copy it again"
        )
    kind = ZippedPlanes if zipped else RawPlanes
    return kind(
        url=url,
        shape=shape,
        dtype=str(np.dtype(stored).newbyteorder("=")),
        stated=stated,
        identity=identity,
        by_rows=not zipped,
        stored=stored,
        offsets=offsets,
    )


def _fill(rows: npt.NDArray[Any], file: BinaryIO) -> None:
    missing = rows.data.cast("B")
    while missing:
        got = file.readinto(missing)  # type: ignore[attr-defined]
        if not got:
            raise ValueError(f"{len(missing)} bytes are missing at its end")
        missing = missing[got:]

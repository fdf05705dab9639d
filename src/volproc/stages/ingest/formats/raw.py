"""Voxels that lie uncompressed, one after the other, at a known place of a file."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.ingest.voxel_source import PixelNm, Stamp, opened, reading


@dataclass(frozen=True)
class RawPlanes:
    """`shape` voxels (z, y, x) from byte `offset` of a file, x fastest.

    `stored` is numpy's name of their type with its byte order, such as ">f4".
    """

    url: str
    offset: int
    stored: str
    shape: Shape
    voxel_nm: VoxelNm | None
    identity: tuple[Stamp, ...]
    pixel_nm: PixelNm | None = None

    @property
    def dtype(self) -> str:
        """numpy's name of the voxel type, in this machine's byte order."""
        return str(np.dtype(self.stored).newbyteorder("="))

    @property
    def by_rows(self) -> bool:
        """Rows are found by their place."""
        return True

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`: its rows are read whole, its columns cut out."""
        out = np.empty(box.shape, dtype=self.dtype)
        if box.size == 0:
            return out
        as_stored = box.shape[2] == self.shape[2] and np.dtype(self.stored) == out.dtype
        rows = np.empty((0 if as_stored else box.shape[1], self.shape[2]), dtype=self.stored)
        with reading(self.url), opened(self.url) as file:
            for plane, z in zip(out, range(box.start[0], box.stop[0]), strict=True):
                row = z * self.shape[1] + box.start[1]
                file.seek(self.offset + row * self.shape[2] * rows.itemsize)
                if as_stored:  # straight into place
                    _fill(plane, file)
                else:
                    _fill(rows, file)
                    plane[:] = rows[:, box.start[2] : box.stop[2]]
        return out


def raw_planes(
    url: str,
    *,
    offset: int,
    stored: str,
    shape: Shape,
    voxel_nm: VoxelNm | None,
    identity: tuple[Stamp, ...],
    pixel_nm: PixelNm | None = None,
) -> RawPlanes:
    """The planes, once it is sure that the file is long enough; IngestError if it was cut short."""
    end = offset + prod(shape) * np.dtype(stored).itemsize
    size = identity[0][1]
    if size < end:
        raise IngestError(
            f"{url} is cut short: {size} bytes, expected at least {end} for {shape} voxels of "
            f"{np.dtype(stored).name}; copy it again"
        )
    return RawPlanes(url, offset, stored, shape, voxel_nm, identity, pixel_nm)


def _fill(rows: npt.NDArray[Any], file: BinaryIO) -> None:
    wanted = rows.data.cast("B")
    while wanted:
        got = file.readinto(wanted)  # type: ignore[attr-defined]
        if not got:
            raise ValueError(f"{len(wanted)} bytes are missing at its end")
        wanted = wanted[got:]

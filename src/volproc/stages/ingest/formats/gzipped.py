"""Voxels that lie one after the other in a gzipped file."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.ingest.formats.raw import RawPlanes
from volproc.stages.ingest.voxel_source import PixelNm, Stamp, opened, reading


def is_gzip(head: bytes) -> bool:
    """Whether a file that begins like this is gzipped."""
    return head[:2] == b"\x1f\x8b"


@dataclass(frozen=True)
class ZippedPlanes(RawPlanes):
    """`RawPlanes` of the file inside, whose bytes `offset` counts.

    A read decompresses all that lies before it and keeps its own planes only: a volume read in n
    blocks is decompressed n / 2 times. Unpack large files first.
    """

    @property
    def by_rows(self) -> bool:
        """There is no way into the middle."""
        return False

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        out = np.empty(box.shape, dtype=self.dtype)
        plane_bytes = self.shape[1] * self.shape[2] * out.itemsize
        with reading(self.url), opened(self.url) as file, gzip.GzipFile(fileobj=file) as stream:
            stream.seek(self.offset + box.start[0] * plane_bytes)
            for plane in out:
                packed = stream.read(plane_bytes)
                if len(packed) < plane_bytes:
                    raise ValueError(f"{plane_bytes - len(packed)} bytes are missing at its end")
                values = np.frombuffer(packed, self.stored).reshape(self.shape[1:])
                plane[:] = values[box.slices[1:]]
            if box.stop[0] == self.shape[0]:
                stream.read(1)  # gzip compares its checksum at the end
        return out


def zipped_planes(
    url: str,
    *,
    offset: int,
    stored: str,
    shape: Shape,
    voxel_nm: VoxelNm | None,
    identity: tuple[Stamp, ...],
    pixel_nm: PixelNm | None = None,
) -> ZippedPlanes:
    """The planes; whether the file is complete and undamaged shows when the last one is read."""
    return ZippedPlanes(url, offset, stored, shape, voxel_nm, identity, pixel_nm)

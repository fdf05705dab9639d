"""TIFF: one stack (plain, BigTIFF, ImageJ, OME), or a folder of numbered slices."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import tifffile

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.stages.ingest.source import reading, stamp

NM_PER_UNIT = {
    "nm": 1.0,
    "nanometer": 1.0,
    "µm": 1e3,
    "μm": 1e3,
    "um": 1e3,
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "mm": 1e6,
    "cm": 1e7,
    "å": 0.1,
    "pm": 1e-3,
}


def is_tiff(path: Path) -> bool:
    """Whether the file begins as a TIFF or BigTIFF does."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class TiffStack:
    """A TIFF of many planes; rows are mapped where the file is uncompressed and contiguous."""

    path: Path
    shape: Shape
    dtype: str
    voxel_nm: VoxelNm | None
    identity: tuple[Any, ...]
    contiguous: bool

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        with reading(self.path):
            if self.contiguous:
                mapped = tifffile.memmap(self.path, mode="r").reshape(self.shape)
                return np.array(mapped[box.slices])
            with tifffile.TiffFile(self.path) as file:
                pages = file.series[0].pages
                wanted = range(box.start[0], box.stop[0])
                return np.stack([pages[z].asarray()[box.slices[1:]] for z in wanted])


@dataclass(frozen=True)
class TiffSeries:
    """One file per plane, in the order of their numbers; a file repeats where a gap is filled."""

    files: tuple[Path, ...]
    shape: Shape
    dtype: str
    voxel_nm: VoxelNm | None
    identity: tuple[Any, ...]

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        out = np.empty(box.shape, dtype=self.dtype)
        for plane, path in zip(out, self.files[box.start[0] : box.stop[0]], strict=True):
            with reading(path):
                plane[:] = self._plane(path)[box.slices[1:]]
        return out

    def _plane(self, path: Path) -> npt.NDArray[Any]:
        plane: npt.NDArray[Any] = tifffile.imread(path)
        if plane.shape != self.shape[1:] or str(plane.dtype) != self.dtype:
            raise IngestError(
                f"{path} is {plane.dtype} of {plane.shape}, the first slice of its folder "
                f"{self.dtype} of {self.shape[1:]}; all slices need one size and type"
            )
        return plane


@contextmanager
def complete() -> Iterator[None]:
    """Raises what tifffile only logs: a file cut short would look like a shorter one."""
    heard: list[str] = []
    listener = logging.Handler(logging.ERROR)
    listener.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("tifffile")
    log.addHandler(listener)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(listener)
        log.propagate = True
    if heard:
        raise ValueError(heard[0])


def tiff_stack(path: Path) -> TiffStack:
    """The stack in one TIFF file; IngestError for colour, time or several channels."""
    with reading(path), complete(), tifffile.TiffFile(path) as file:
        series = file.series[0]
        # OME and ImageJ put axes of length 1 in front: squeezed by tifffile unless they are planes
        extra = [a for a, n in zip(series.axes, series.shape, strict=True) if n > 1]
        if len(extra) > 3 or "S" in extra or not {"Y", "X"} <= set(series.axes):
            raise IngestError(
                f"{path} has axes {series.axes} of {series.shape}; a volume needs grey planes "
                "(z, y, x): split channels or convert colour to grey first"
            )
        height, width = series.shape[series.axes.index("Y")], series.shape[series.axes.index("X")]
        return TiffStack(
            path=path,
            shape=(series.size // (height * width), height, width),
            dtype=str(series.dtype),
            voxel_nm=_voxel_nm(file),
            identity=stamp(path),
            contiguous=series.dataoffset is not None and file.byteorder == "<",
        )


def tiff_series(folder: Path, *, missing: str) -> TiffSeries:
    """The numbered TIFF slices of a folder; see `open_source` for `missing`."""
    found = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".tif", ".tiff")]
    if not found:
        raise IngestError(f"{folder} holds no TIFF slices (*.tif, *.tiff)")
    numbered = sorted((_number(path), path) for path in found)
    files = _without_gaps(numbered, missing=missing, folder=folder)
    first = tiff_stack(numbered[0][1])
    if first.shape[0] != 1:
        raise IngestError(
            f"{first.path} holds {first.shape[0]} planes; a folder needs one plane per file: "
            "ingest the stack file itself"
        )
    return TiffSeries(
        files=tuple(files),
        shape=(len(files), *first.shape[1:]),
        dtype=first.dtype,
        voxel_nm=first.voxel_nm,
        identity=tuple(stamp(path) for path in files),
    )


def _number(path: Path) -> int:
    numbers = re.findall(r"\d+", path.stem)
    if not numbers:
        raise IngestError(f"{path} has no number in its name; slices are sorted by the last one")
    return int(numbers[-1])


def _without_gaps(numbered: list[tuple[int, Path]], *, missing: str, folder: Path) -> list[Path]:
    files: list[Path] = []
    expected = numbered[0][0]
    for number, path in numbered:
        if number < expected:
            raise IngestError(
                f"{folder} has two slices of number {number}, one of them {path.name}"
            )
        gap = number - expected
        if gap and missing == "refuse":
            raise IngestError(
                f"{folder}: {gap} slices are missing before {path.name} (expected number "
                f"{expected}); add them, or set [ingest] missing = "
                '"repeat" to show the slice before again'
            )
        files += files[-1:] * gap + [path]
        expected = number + 1
    return files


def _voxel_nm(file: tifffile.TiffFile) -> VoxelNm | None:
    """Voxel size from ImageJ's or OME's metadata; plain resolution tags are not trusted."""
    sizes = _ome_nm(file.ome_metadata) if file.ome_metadata else _imagej_nm(file)
    return parse_voxel_nm(sizes) if sizes and min(sizes) > 0 else None


def _ome_nm(xml: str) -> list[float] | None:
    elements = ElementTree.fromstring(xml).iter()
    pixels = next((e for e in elements if e.tag.endswith("}Pixels")), None)
    sizes = []
    for axis in "ZYX":
        size = pixels.get(f"PhysicalSize{axis}") if pixels is not None else None
        unit = pixels.get(f"PhysicalSize{axis}Unit", "µm") if pixels is not None else ""
        if size is None or unit.lower() not in NM_PER_UNIT:
            return None
        sizes.append(float(size) * NM_PER_UNIT[unit.lower()])
    return sizes


def _imagej_nm(file: tifffile.TiffFile) -> list[float] | None:
    metadata = file.imagej_metadata or {}
    unit = str(metadata.get("unit", "")).encode().decode("unicode_escape").lower()
    tags = file.pages.first.tags
    if unit not in NM_PER_UNIT or "XResolution" not in tags or "YResolution" not in tags:
        return None
    y, x = (tags[f"{axis}Resolution"].value for axis in "YX")
    if not (y[0] and x[0]):
        return None
    spacing = float(metadata.get("spacing", 0))
    return [size * NM_PER_UNIT[unit] for size in (spacing, y[1] / y[0], x[1] / x[0])]

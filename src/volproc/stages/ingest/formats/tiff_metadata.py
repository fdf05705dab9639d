"""What a TIFF says of itself: its voxel size, its OME-XML, and that it was cut short."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

import tifffile

from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.grid.units import in_nm
from volproc.location import name_of
from volproc.stages.ingest.voxel_source import PixelNm, opened

_heard = threading.local()


def _hear(record: logging.LogRecord) -> bool:
    errors: list[str] | None = getattr(_heard, "errors", None)
    if errors is None:
        return True
    if record.levelno >= logging.ERROR:
        errors.append(record.getMessage())
    return False


logging.getLogger("tifffile").addFilter(_hear)


@contextmanager
def complete() -> Iterator[None]:
    """Raises what tifffile only logs: a file cut short would look like a shorter one.

    Each thread hears its own errors only: headers of a series are read by several.
    """
    _heard.errors = []
    try:
        yield
        raise_heard()
    finally:
        _heard.errors = None


def raise_heard() -> None:
    """Raises what was heard so far: tifffile may walk for ever through pages that are damaged."""
    if _heard.errors:
        raise ValueError(_heard.errors[0])


def tiff_stated_nm(file: tifffile.TiffFile) -> tuple[VoxelNm | None, PixelNm | None]:
    """Voxel size (z, y, x) and pixel size (y, x) from OME or ImageJ metadata."""
    sizes = _ome_sizes(file.ome_metadata) if file.is_ome else _imagej_sizes(file)
    z, y, x = sizes or (None, None, None)
    pixel_nm = (y, x) if y and x else None
    return (parse_voxel_nm((z, *pixel_nm)) if z and pixel_nm else None), pixel_nm


def ome_pixels(xml: str) -> dict[str, str]:
    """Attributes of the first image's Pixels element: sizes, type, physical sizes."""
    elements = ElementTree.fromstring(xml).iter()
    return next((dict(e.attrib) for e in elements if e.tag.endswith("}Pixels")), {})


def _ome_sizes(xml: str) -> list[float | None]:
    pixels = ome_pixels(xml)
    names = [f"PhysicalSize{axis}" for axis in "ZYX"]
    return [in_nm(float(pixels.get(n, 0)), pixels.get(f"{n}Unit", "µm")) for n in names]


def _imagej_sizes(file: tifffile.TiffFile) -> list[float | None]:
    metadata = file.imagej_metadata or {}
    unit = metadata.get("unit", "")
    units = [metadata.get(f"{axis}unit", unit) for axis in "zy"] + [unit]
    if str(unit).lower().startswith("in"):
        return []  # ImageJ's word for a resolution in dots per inch, which is of the screen
    tags = file.pages.first.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return []
    y, x = (tags[f"{axis}Resolution"].value for axis in "YX")
    if not (y[0] and x[0]):
        return []
    sizes = (metadata.get("spacing", 0), y[1] / y[0], x[1] / x[0])
    return [in_nm(size, unit) for size, unit in zip(sizes, units, strict=True)]


def other_files(url: str) -> tuple[str, ...]:
    """Names of the files, besides this one, that the OME-XML of a TIFF says its image lies in.

    A file is known by its UUID: names stay as they were when it is renamed.
    """
    try:
        with opened(url) as raw, complete(), tifffile.TiffFile(raw, _multifile=False) as file:
            first = file.pages.first
            xml = first.description if first.is_ome else ""
        root = ElementTree.fromstring(xml or "<OME/>")
    except Exception:  # whatever is wrong with it, its own reader says so
        return ()
    apart = [e.get("MetadataFile", "") for e in root.iter() if e.tag.endswith("BinaryOnly")]
    parts = [e for e in root.iter() if e.tag.endswith("}UUID") and e.get("FileName")]
    names = dict.fromkeys(str(e.get("FileName")) for e in parts if e.text != root.get("UUID"))
    if root.get("UUID") is None:
        names = {} if len(names) == 1 else names
        names.pop(name_of(url), None)
    return (*filter(None, apart), *names)

"""What a TIFF states of itself: voxel size, position, OME-XML, and that it was cut short."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

import tifffile

from volproc.grid.box import each
from volproc.grid.units import in_nm, nm_per
from volproc.location import name_of
from volproc.stages.ingest.voxel_source import Calibration, opened

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


def stated_of(file: tifffile.TiffFile) -> Calibration:
    """Voxel size and position from OME or ImageJ metadata."""
    return _ome(file.ome_metadata) if file.is_ome else _imagej(file)


def ome_pixels(xml: str) -> ElementTree.Element:
    """The first image's Pixels element, with sizes, type and physical sizes; or an empty one."""
    elements = ElementTree.fromstring(xml).iter()
    return next((e for e in elements if e.tag.endswith("}Pixels")), ElementTree.Element("Pixels"))


def _ome(xml: str) -> Calibration:
    pixels = ome_pixels(xml)
    planes = [e for e in pixels.iter() if e.tag.endswith("}Plane")]
    first = min(planes, key=lambda plane: int(plane.get("TheZ", 0)), default=pixels)

    def size(axis: str) -> float | None:
        name = f"PhysicalSize{axis}"
        return in_nm(float(pixels.get(name, 0)), pixels.get(f"{name}Unit", "µm"))

    def position(axis: str) -> float:
        # without a unit it counts in a "reference frame" of the stage, which is no length
        unit = nm_per(first.get(f"Position{axis}Unit")) or 0.0
        return float(first.get(f"Position{axis}", 0)) * unit

    return Calibration(each(size, "ZYX"), each(position, "ZYX"))


def _imagej(file: tifffile.TiffFile) -> Calibration:
    metadata = file.imagej_metadata or {}
    unit = metadata.get("unit", "")
    units = [metadata.get(f"{axis}unit", unit) for axis in "zy"] + [unit]
    # the origin is where 0 is, in voxels from the first one
    origins = [metadata.get(f"{axis}origin", 0) for axis in "zyx"]
    centre = each(lambda n: 0.0 - n if isinstance(n, int | float) else 0.0, origins)
    tags = file.pages.first.tags
    # inches are ImageJ's word for a resolution in dots per inch, which is of the screen
    inches = str(unit).lower().startswith("in")
    if inches or "XResolution" not in tags or "YResolution" not in tags:
        return Calibration(centre=centre, in_voxels=True)
    (ny, dy), (nx, dx) = (tags[f"{axis}Resolution"].value for axis in "YX")
    sizes = (metadata.get("spacing", 0), ny and dy / ny, nx and dx / nx)
    return Calibration(each(in_nm, sizes, units), centre, in_voxels=True)


def other_files(url: str) -> tuple[str, ...]:
    """Names of the other files in which the image is, as the OME-XML of a TIFF states.

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

"""Entries of EMPIAR: what they are and which files they have.

The REST API (https://www.ebi.ac.uk/empiar/api/entry/10094/) sends JSON with one key, the accession;
in it title, authors, experiment_type, dataset_size, release_date, entry_doi and imagesets. An image
set has name, directory ("data/..." or "/data/..."), category, header_format, data_format ("TIFF"),
num_images_or_tilt_series, frames_per_image, voxel_type ("UNSIGNED BYTE"), image_width and
image_height (numbers, or text such as "6144"), pixel_width and pixel_height (Å: EMPIAR-13192, whose
TIFFs state 65 nm, has 650.0), details. The fields and their words are those of
empiar_deposition.schema.json (github.com/emdb-empiar/empiar-depositor); any of them may be missing
or null. The thickness of slices is stated in prose only.

The files are under https://ftp.ebi.ac.uk/empiar/world_availability/10094/ (ftp:// the same): an
NNNNN.xml with the same description, and the folder data. The pages are Apache's, with rounded
sizes; they come from several machines, and a page may lack a file that was added lately. EMPIAR
has no checksums: a list made by md5sum among the files is used where there is one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from volproc.config.options import ACCESSION
from volproc.errors import IngestError
from volproc.stages.ingest.empiar.retries import NotFound
from volproc.stages.ingest.empiar.servers import Servers
from volproc.stages.ingest.options import FetchOptions

ANGSTROM_PER_NM = 10.0


@dataclass(frozen=True)
class ImageSet:
    """One image set of an entry, as its depositors describe it; what they left out is empty."""

    name: str
    directory: str
    """Its place in the entry: data/Micrographs_ROI_00."""
    format: str
    voxel_type: str
    """EMPIAR's words: UNSIGNED BYTE."""
    images: int | None
    """Images, or tilt series; a file may have several."""
    shape_yx: tuple[int, int] | None
    """Pixels of an image."""
    pixel_nm_yx: tuple[float, float] | None
    """Pixel size; nm."""
    details: str


@dataclass(frozen=True)
class Entry:
    """An entry of EMPIAR."""

    accession: str
    title: str
    authors: tuple[str, ...]
    experiment: str
    """EMPIAR's word: SBF-SEM, FIB-SEM, ..."""
    size: str
    """Of all its files, as EMPIAR puts it."""
    doi: str
    imagesets: tuple[ImageSet, ...]


def accession(text: str) -> str | None:
    """The accession that `text` is, or None. A bare number is none: it may be a folder's name.

    >>> accession("empiar-10094"), accession("10094"), accession("EMPIAR-10094/data")
    ('EMPIAR-10094', None, None)
    """
    found = ACCESSION.fullmatch(text.strip())
    return f"EMPIAR-{found[1]}" if found else None


def describe(entry: str, options: FetchOptions) -> Entry:
    """What EMPIAR states of an accession; IngestError, one line, if there is no such entry."""
    number = entry_number(entry)
    url = f"{options.api.rstrip('/')}/{number}/"
    try:
        with Servers(options) as servers:
            response = json.loads(servers.of(url).page(url))
        return _entry(f"EMPIAR-{number}", response[f"EMPIAR-{number}"])
    except NotFound as error:
        raise unknown_entry(number, url) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IngestError(
            f"{url} does not return a description of EMPIAR-{number}; "
            "expected JSON with that key; see [fetch] api"
        ) from error


def entry_number(entry: str) -> str:
    """The digits of an accession; IngestError if it is none."""
    known = accession(entry)
    if known is None:
        raise IngestError(f"{entry!r} is not an accession of EMPIAR; expected EMPIAR-10094 or like")
    return known.removeprefix("EMPIAR-")


def unknown_entry(number: str, url: str) -> IngestError:
    """The error for an entry that `url` does not have."""
    return IngestError(
        f"EMPIAR-{number} is not a released entry ({url} is not there); "
        "look it up on https://www.ebi.ac.uk/empiar/"
    )


def _entry(name: str, stated: dict[str, Any]) -> Entry:
    people = [author.get("author", author) for author in stated.get("authors") or ()]
    return Entry(
        accession=name,
        title=_text(stated, "title"),
        authors=tuple(_text(person, "name") for person in people),
        experiment=_text(stated, "experiment_type"),
        size=_text(stated, "dataset_size"),
        doi=_text(stated, "entry_doi"),
        imagesets=tuple(_imageset(one) for one in stated.get("imagesets") or ()),
    )


def _imageset(stated: dict[str, Any]) -> ImageSet:
    images = _numeric(stated, "num_images_or_tilt_series")
    high, wide = _numeric(stated, "image_height"), _numeric(stated, "image_width")
    tall, broad = _numeric(stated, "pixel_height"), _numeric(stated, "pixel_width")
    return ImageSet(
        name=_text(stated, "name"),
        directory=_text(stated, "directory").strip("/"),
        format=_text(stated, "data_format") or _text(stated, "header_format"),
        voxel_type=_text(stated, "voxel_type"),
        images=int(images) if images else None,
        shape_yx=(int(high), int(wide)) if high and wide else None,
        pixel_nm_yx=(tall / ANGSTROM_PER_NM, broad / ANGSTROM_PER_NM) if tall and broad else None,
        details=_text(stated, "details"),
    )


def _text(stated: dict[str, Any], key: str) -> str:
    value = stated.get(key)
    return "" if value is None else str(value).strip()


def _numeric(stated: dict[str, Any], key: str) -> float | None:
    try:
        value = float(_text(stated, key))
    except ValueError:
        return None
    return value if value > 0 else None

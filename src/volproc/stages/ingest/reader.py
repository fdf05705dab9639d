"""What is at a path or URL: a file, a folder of slices, a Zarr, or something inside one."""

from __future__ import annotations

from collections import defaultdict

from volproc.errors import IngestError
from volproc.location import filesystem_of, matching, name_of
from volproc.retry import patient
from volproc.stages.ingest.formats.file_formats import (
    FORMATS,
    FORMATS_READ,
    Opener,
    format_of,
    opener_of,
)
from volproc.stages.ingest.options import IngestOptions
from volproc.stages.ingest.series.folder import (
    Folder,
    few,
    list_folder,
    pattern_of,
    refuse_missing_parts,
    taken_of,
)
from volproc.stages.ingest.series.series import open_series
from volproc.stages.ingest.voxel_source import Source, reading

ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray", "attributes.json")
"""Files that make a folder one array or group: Zarr v3, v2, N5."""


def open_source(url: str, options: IngestOptions) -> Source:
    """The voxels at a path or fsspec URL: a file, a folder of numbered files, a Zarr or N5.

    The url may go on inside an HDF5 file or a Zarr (VOLUME.h5/raw, IMAGE.zarr/0), and its last
    part may be a pattern (FOLDER/slice_*.tif). IngestError, one line, for what cannot be read.
    """
    url = url.rstrip("/")
    folder, _, last = url.rpartition("/")
    # on the web ? is part of an address, and * of no file's
    wild = set(last) & (set("*[") if url.startswith("http") else set("*?["))
    kind = None if wild and url.startswith("http") else _kind(url)
    if kind is None and wild:
        return _open_pattern(folder or ("/" if url.startswith("/") else "."), url, options)
    if kind == "zarr":
        return _open_zarr(url, options)
    if kind == "file":
        return _open_file(url, options)
    if kind == "folder":
        return _open_folder(url, options)
    return _open_inside(url, options)


def _open_file(url: str, options: IngestOptions) -> Source:
    others = _named_in(url)
    if others:
        raise IngestError(
            f"{url} is one of {len(others) + 1} files of an OME-TIFF ({few(others)}); give their "
            f"folder; or, for this one alone, a pattern: {url[:-1]}?"
        )
    return _opener_of_one(url, options)(url)


def _open_pattern(folder: str, pattern: str, options: IngestOptions) -> Source:
    """The files that a pattern names are all that is requested: nothing is missing."""
    if set(name_of(folder)) & set("*?") and _kind(folder) is None:
        raise IngestError(f"{pattern}: only file names may have * and ?; name one folder")
    listed = _listed(folder)
    requested = set(matching(map(name_of, listed.files), name_of(pattern)))
    return _open_series(
        [u for u in listed.files if name_of(u) in requested], listed, pattern, options
    )


def _open_folder(url: str, options: IngestOptions) -> Source:
    listed = _listed(url)
    return _open_series(list(listed.files), listed, url, options, complete=True)


def _open_inside(url: str, options: IngestOptions) -> Source:
    """What is inside the nearest file or Zarr above a URL that does not exist by itself."""
    above = url
    while "/" in above.partition("://")[2] or ("://" not in above and "/" in above):
        above = above.rpartition("/")[0]
        kind = _kind(above)
        if kind == "zarr":
            return _open_zarr(url, options)
        if kind == "file" and format_of(above).module == "hdf5":
            return _opener_of_one(above, options)(url)
        if kind is not None:
            break
    raise IngestError(f"{url} does not exist; expected a file, a folder of slices, or a Zarr")


def _open_series(
    urls: list[str], listed: Folder, where: str, options: IngestOptions, *, complete: bool = False
) -> Source:
    """The series of those files that a format claims by their names; `complete` with all others."""
    found: dict[str, list[str]] = defaultdict(list)
    for url in urls:
        for known in FORMATS:
            if known.named(url):
                found[known.name].append(url)
    if not found:
        raise IngestError(f"{where} holds no image file among {listed}; {FORMATS_READ}")
    if len(found) > 1:
        names = " and ".join(f"{name} ({len(urls)} files)" for name, urls in found.items())
        raise IngestError(
            f"{where} holds {names}; a series is of one format: name its files (FOLDER/*.tif)"
        )
    ((name, taken),) = found.items()
    suffixes = next(known.suffixes for known in FORMATS if known.name == name)
    if complete:
        refuse_missing_parts(listed, [name_of(url) for url in taken], suffixes)
        _refuse_missing_ome(listed, taken[0])
    return open_series(
        {url: listed.files[url] for url in taken},
        opener_of(taken[0], options),
        options,
        taken=taken_of(listed, set(taken), suffixes),
    )


def _refuse_missing_ome(listed: Folder, url: str) -> None:
    there = {name_of(one) for one in listed.files}
    gone = [name for name in _named_in(url) if name not in there]
    if gone:
        raise IngestError(
            f"{listed.url}: {name_of(url)} names {len(gone)} more files of its OME-TIFF that are "
            f"not there ({few(gone)}); add them, or name those to take "
            f"({listed.url}/{pattern_of(name_of(url))})"
        )


def _named_in(url: str) -> tuple[str, ...]:
    """Other files in which the image of a TIFF is, as it states."""
    if format_of(url).module != "tiff":
        return ()
    from volproc.stages.ingest.formats.tiff_metadata import other_files

    return other_files(url)


def _open_zarr(url: str, options: IngestOptions) -> Source:
    from volproc.stages.ingest.formats.zarr import open_zarr

    return open_zarr(url, axes=options.axes, channel=options.channel)


def _opener_of_one(url: str, options: IngestOptions) -> Opener:
    """What opens a file that is all there is, where a look at it may cost half a second."""
    if format_of(url).module == "hdf5":
        from volproc.stages.ingest.formats.hdf5 import refuse_deadly

        refuse_deadly(url)
    return opener_of(url, options)


@patient
def _listed(folder: str) -> Folder:
    with reading(folder):
        try:
            return list_folder(folder)
        except FileNotFoundError as error:
            raise IngestError(f"{folder} does not exist; expected a folder of slices") from error


@patient
def _kind(url: str) -> str | None:
    """Whether "file", "folder", "zarr", or nothing is at a URL."""
    filesystem, path = filesystem_of(url)
    try:
        info = filesystem.info(path)
        is_file = info["type"] == "file"
        if is_file and url.startswith("http") and not any(known.named(url) for known in FORMATS):
            is_file = not filesystem.isdir(path)  # a web server does not tell
    except Exception as error:
        # for the web fsspec calls every failure a missing file, and hides why
        why = (url.startswith("http") and error.__cause__) or error
        absent = isinstance(why, FileNotFoundError | NotADirectoryError)
        if absent or getattr(why, "status", None) in (404, 410):
            return None
        raise IngestError(f"cannot reach {url}: {str(why) or type(why).__name__}") from error
    if is_file:
        return "file"
    marked = any(filesystem.exists(f"{path.rstrip('/')}/{mark}") for mark in ZARR_MARKS)
    return "zarr" if marked else "folder"

"""Small files next to volumes, at any path or fsspec URL; they appear whole or not at all."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from fsspec.implementations.local import LocalFileSystem

from volproc import lease
from volproc.location import filesystem_of
from volproc.retry import PatientFile, patient, patiently
from volproc.volume.access import kind_at, local_path, reading, writing


@contextmanager
def at_once(path: str, *, sync: bool = False) -> Iterator[str]:
    """A temporary name next to `path` on this machine: at the end that file is renamed to `path`.

    If it fails, or the output has another owner by then, nothing is left. With `sync` it is on the
    disk before, so that it outlives a power cut as well.
    """
    make_folder(os.path.dirname(path))
    fresh = f"{path}.{uuid4().hex}.partial"
    try:
        yield fresh
        if sync:
            with open(fresh, "rb") as file:
                os.fsync(file.fileno())
        _put(fresh, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh)
        raise


@patient
def _put(fresh: str, path: str) -> None:
    lease.require()
    os.replace(fresh, path)


@patient
def write_file(url: str, content: bytes, *, sync: bool = False) -> None:
    """Store `content` at `url`, making its folder; a kill leaves no partial file there.

    With `sync` a power cut does not either.
    """
    filesystem, path = filesystem_of(url)
    with writing(url):
        if isinstance(filesystem, LocalFileSystem):
            with at_once(path, sync=sync) as fresh:
                filesystem.pipe_file(fresh, content)
        else:
            lease.require()
            filesystem.pipe_file(path, content)  # object stores take objects whole


def write_pieces(url: str, pieces: Iterable[bytes]) -> None:
    """Store `pieces` one after the other as the file at `url`; it is there whole or not at all."""
    filesystem, path = filesystem_of(url)
    if not isinstance(filesystem, LocalFileSystem):
        _upload(filesystem, path, url, pieces)
        return
    with writing(url), at_once(path) as fresh, PatientFile(filesystem.open, fresh, "wb") as file:
        for piece in pieces:
            file.write(piece)


def _upload(filesystem: Any, path: str, url: str, pieces: Iterable[bytes]) -> None:
    """An object store shows an object when it is closed: not before its last piece is there."""
    with writing(url):
        file = patiently(partial(filesystem.open, path, "wb"))  # its parts it sends again itself
        try:
            for piece in pieces:
                file.write(piece)
            lease.require()
        except BaseException:
            file.discard()
            with suppress(AttributeError):  # in memory nothing is closed
                file.closed = True  # else what is there would be stored after all
            raise
        file.close()


@patient
def make_folder(path: str) -> None:
    """Make a local folder and its parents, if they are not there."""
    Path(path).mkdir(parents=True, exist_ok=True)  # os.makedirs asks isdir, which hides errors


@patient
def read_file(url: str) -> bytes:
    """What `write_file` stored at `url`; VolumeError if it is not there."""
    filesystem, path = filesystem_of(url)
    with reading(url):
        content: bytes = filesystem.cat_file(path)
    return content


@patient
def remove_files(folder: str, pattern: re.Pattern[str]) -> None:
    """Remove the files and folders right in `folder` whose whole names match; others stay."""
    filesystem, path = filesystem_of(folder)
    with writing(folder):
        filesystem.invalidate_cache()
        found = filesystem.ls(path, detail=False) if kind_at(filesystem, path) else []
        for inner in found:
            if pattern.fullmatch(inner.rstrip("/").rpartition("/")[2]):
                filesystem.rm(inner, recursive=True)


@patient
def remove_partial_files(url: str) -> None:
    """Remove the partial files that a kill left in the folder, or next to the file, at `url`.

    Only local writers leave them: object stores take objects whole.
    """
    here = local_path(url)
    if here:
        beside_it = here.parent.glob(f"{glob.escape(here.name)}.*.partial")
        for path in (*here.rglob("*.partial"), *beside_it):
            path.unlink(missing_ok=True)


def content_digest(url: str) -> str:
    """A name for the bytes of a file, read in pieces; VolumeError if it cannot be read."""
    filesystem, path = filesystem_of(url)
    found = hashlib.sha256()
    with reading(url), filesystem.open(path, "rb") as file:
        while piece := file.read(2**22):
            found.update(piece)
    return found.hexdigest()


def sibling(url: str, ending: str) -> str:
    """A name next to the outermost .zarr folder of `url`, ending in `ending`.

    >>> sibling("runs/objects.zarr", ".csv")
    'runs/objects.csv'
    >>> sibling("image.zarr/labels/nuclei", ".csv")
    'image-nuclei.csv'
    """
    outer, _, inner = url.rstrip("/").partition(".zarr")
    name = inner.rstrip("/").rpartition("/")[2].removesuffix(".zarr")
    return f"{outer}-{name}{ending}" if name else f"{outer}{ending}"

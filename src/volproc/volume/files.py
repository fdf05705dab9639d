"""Small files beside volumes, at any path or fsspec URL: there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from fsspec.implementations.local import LocalFileSystem

from volproc.location import located
from volproc.retry import PatientFile, patient, patiently
from volproc.volume.access import kind_at, reading, writing


@patient
def write_file(url: str, content: bytes) -> None:
    """Store `content` at `url`, its folder included; a killed writer leaves no half file there."""
    filesystem, path = located(url)
    with writing(url):
        if isinstance(filesystem, LocalFileSystem):
            make_folder(os.path.dirname(path))
            fresh = f"{path}.{uuid4().hex}.partial"
            filesystem.pipe_file(fresh, content)
            os.replace(fresh, path)
        else:
            filesystem.pipe_file(path, content)  # object stores take objects whole


def write_pieces(url: str, pieces: Iterable[bytes]) -> None:
    """Store `pieces` one after the other as the file at `url`; it is there whole or not at all."""
    filesystem, path = located(url)
    here = isinstance(filesystem, LocalFileSystem)
    target = f"{path}.{uuid4().hex}.partial" if here else path
    with writing(url):
        if here:
            make_folder(os.path.dirname(path))
        with _for_pieces(filesystem, target, here=here) as file:
            for piece in pieces:
                file.write(piece)
        if here:
            patiently(partial(os.replace, target, path))


def _for_pieces(filesystem: Any, path: str, *, here: bool) -> Any:
    """A file for writing; those of object stores send their parts again by themselves."""
    if here:
        return PatientFile(filesystem.open, path, "wb")
    return patiently(partial(filesystem.open, path, "wb"))


@patient
def make_folder(path: str) -> None:
    """Make a local folder and those it lies in, if they are not there."""
    Path(path).mkdir(parents=True, exist_ok=True)  # os.makedirs asks isdir, which hides errors


@patient
def read_file(url: str) -> bytes:
    """What `write_file` stored at `url`; VolumeError if it is not there."""
    filesystem, path = located(url)
    with reading(url):
        content: bytes = filesystem.cat_file(path)
    return content


@patient
def remove_files(folder: str, wanted: re.Pattern[str]) -> None:
    """Remove the files and folders right in `folder` whose whole names match; others stay."""
    filesystem, path = located(folder)
    with writing(folder):
        filesystem.invalidate_cache()
        found = filesystem.ls(path, detail=False) if kind_at(filesystem, path) else []
        for inner in found:
            if wanted.fullmatch(inner.rstrip("/").rpartition("/")[2]):
                filesystem.rm(inner, recursive=True)


@patient
def content_digest(url: str) -> str:
    """A name for the bytes of a file, read in pieces; VolumeError if it cannot be read."""
    filesystem, path = located(url)
    found = hashlib.sha256()
    with reading(url), filesystem.open(path, "rb") as file:
        while piece := file.read(2**22):
            found.update(piece)
    return found.hexdigest()


def beside(url: str, ending: str) -> str:
    """A name next to the outermost .zarr folder of `url`, ending in `ending`.

    >>> beside("runs/objects.zarr", ".csv")
    'runs/objects.csv'
    >>> beside("image.zarr/labels/nuclei", ".csv")
    'image-nuclei.csv'
    """
    outer, _, inner = url.rstrip("/").partition(".zarr")
    name = inner.rstrip("/").rpartition("/")[2].removesuffix(".zarr")
    return f"{outer}-{name}{ending}" if name else f"{outer}{ending}"

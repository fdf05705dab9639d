"""Where errors of zarr and the file system become a VolumeError; and what lies at a URL.

What is transient is done again first, and becomes a TransientError (`volproc.retry`).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from volproc.errors import VolumeError
from volproc.faults import fault_of, first_line, renamed
from volproc.location import filesystem_of
from volproc.retry import patient

__all__ = ["first_line"]

LOCAL = ("file://", "local://")


@patient
def exists(url: str) -> bool:
    """Whether anything is stored at `url`."""
    with reaching(url):
        return kind_at(*_place(url)) is not None


@patient
def is_occupied(url: str) -> bool:
    """Whether something is stored at `url`; an empty folder is nothing, nor what a kill left.

    A kill may leave partial files, and one of the two files that make a group of Zarr 2.
    """
    with reaching(url):
        filesystem, path = _place(url)
        kind = kind_at(filesystem, path)
        if kind != "directory":
            return kind is not None
        names = (name.rpartition("/")[2] for name in filesystem.ls(path, detail=False))
        whole = [name for name in names if not name.endswith(".partial")]
        return whole not in ([], [".zgroup"], [".zattrs"])


def kind_at(filesystem: Any, path: str) -> str | None:
    """What is at `path`: "file", "directory", ...; None if nothing is.

    `exists` and `isfile` of many file systems say no where they could not find out; that of the
    web calls every failure a missing file.
    """
    try:
        return str(filesystem.info(path)["type"])
    except (FileNotFoundError, NotADirectoryError) as error:
        if fault_of(error) != "missing":
            raise
        return None


def _place(url: str) -> tuple[Any, str]:
    """The file system of `url` and the path there. Lists that it remembers are dropped.

    zarr writes past them, and so do other processes: what they made would be missing.
    """
    filesystem, path = filesystem_of(url)
    filesystem.invalidate_cache()
    return filesystem, path


def local_path(url: str) -> Path | None:
    """Where `url` lies on this machine's own file system; None if it does not.

    >>> local_path("file:///data/a.zarr"), local_path("memory://a.zarr")
    (PosixPath('/data/a.zarr'), None)
    """
    if "://" not in url:
        return Path(url).expanduser()
    return Path(filesystem_of(url)[1]) if url.startswith(LOCAL) else None


def canonical(url: str) -> str:
    """One spelling of a place: links followed, `./` and `//` gone.

    >>> canonical("s3://bucket/a//b/../c.zarr/"), canonical("file:///tmp/./x")
    ('s3://bucket/a/c.zarr', '/tmp/x')
    """
    here = local_path(url)
    if here:
        return os.path.realpath(here)
    protocol, _, path = url.partition("://")
    return f"{protocol}://{posixpath.normpath(path.rstrip('/'))}"


def relative_url(url: str, output: str) -> str:
    """Where `url` lies, seen from what is made of it: the same after both moved together.

    >>> relative_url("runs/a/image.zarr", "runs/a/objects.zarr"), relative_url("s3://b/i.zarr", "o")
    ('../image.zarr', 's3://b/i.zarr')
    """
    here, there = local_path(url), local_path(output)
    return os.path.relpath(canonical(url), canonical(output)) if here and there else canonical(url)


@patient
def last_change(url: str) -> str:
    """What changes when an array that others wrote does, as cheaply as its file system tells.

    Locally the date of its youngest folder: a chunk that is replaced changes its folder's, one
    overwritten in place does not. Elsewhere the properties (date, ETag) of its metadata file.
    """
    folder = local_path(url)
    with reaching(url):
        if folder:
            dates = (
                os.stat(inner).st_mtime_ns for inner, _, _ in os.walk(folder, followlinks=True)
            )
            return str(max(dates, default=0))
        filesystem, path = _place(url)
        names = (f"{path}/{name}" for name in ("zarr.json", ".zarray", "attributes.json"))
        return next((str(filesystem.ukey(name)) for name in names if kind_at(filesystem, name)), "")


@patient
def remove_file(url: str) -> None:
    """Remove the file at `url` if there is one."""
    with writing(url):
        filesystem, path = _place(url)
        if kind_at(filesystem, path):
            filesystem.rm_file(path)


@patient
def remove_tree(url: str) -> None:
    """Remove everything at `url`; a link is removed, not what it points to."""
    with writing(url):
        here = local_path(url)
        if here and here.is_symlink():
            here.unlink()
            return
        filesystem, path = _place(url)
        if kind_at(filesystem, path):
            filesystem.rm(path, recursive=True)


def refuse_unreachable(url: str, error: Exception) -> None:
    """Raise what kept zarr from finding out what lies at `url`; nothing where nothing lies there.

    A store that does not answer, or only to others, is not one that holds nothing.
    """
    if fault_of(error) not in (None, "missing"):
        raise renamed(f"cannot reach {url}", error, VolumeError) from error


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Whatever a file system raises when it is asked what lies at `url` becomes a VolumeError."""
    with _renaming(
        f"cannot reach {url}", "check the address and the credentials in the environment"
    ):
        yield


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever zarr, a codec or the file system raises becomes a VolumeError that names `what`."""
    with _renaming(f"cannot read {what}", "the file may be cut short: write the volume again"):
        yield


@contextmanager
def writing(what: str) -> Iterator[None]:
    """The same for writing, where all but the errors of file systems are bugs."""
    with _renaming(f"cannot write {what}", "check the place and its file system", OSError):
        yield


@contextmanager
def _renaming(doing: str, otherwise: str, content: type[Exception] = Exception) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if fault_of(error) is None and not isinstance(error, content):
            raise
        line = renamed(doing, error, VolumeError, otherwise=otherwise)
        if line is error:
            raise
        raise line from error

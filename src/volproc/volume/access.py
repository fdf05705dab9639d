"""What is at a URL; and the border where errors of zarr and file systems become a VolumeError.

Transient errors are retried first, and then become a TransientError (`volproc.retry`).
"""

from __future__ import annotations

import os
import posixpath
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from volproc.errors import VolumeError
from volproc.faults import fault_of, first_line, renamed, renaming
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
    """Whether something is stored at `url`; empty folders and remains of a kill do not count.

    A kill may leave partial files, and one of the two files of a Zarr 2 group.
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

    `exists` and `isfile` of many file systems return False where they could not find out; that of
    the web calls every failure a missing file.
    """
    try:
        return str(filesystem.info(path)["type"])
    except (FileNotFoundError, NotADirectoryError) as error:
        if fault_of(error) != "missing":
            raise
        return None


def _place(url: str) -> tuple[Any, str]:
    """The file system of `url` and the path there. Its cached listings are dropped.

    zarr writes past them, and so do other processes: their files would be missing.
    """
    filesystem, path = filesystem_of(url)
    filesystem.invalidate_cache()
    return filesystem, path


def local_path(url: str) -> Path | None:
    """The path of `url` on this machine's own file system; None if it is elsewhere.

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
    """`url` relative to an output made from it: the same after both were moved together.

    >>> relative_url("runs/a/image.zarr", "runs/a/objects.zarr"), relative_url("s3://b/i.zarr", "o")
    ('../image.zarr', 's3://b/i.zarr')
    >>> relative_url("s3://b/i.zarr", "s3://b/o.zarr"), relative_url("s3://a/i.zarr", "s3://b/o")
    ('../i.zarr', 's3://a/i.zarr')
    """
    here, there = canonical(url), canonical(output)
    return os.path.relpath(here, there) if _bucket(here) == _bucket(there) else here


def url_from(relative: str, output: str) -> str:
    """What `relative_url` was made of: the place that is `relative` to an output.

    >>> url_from("../image.zarr", "/runs/a/objects.zarr"), url_from("../i.zarr", "s3://b/a/o.zarr")
    ('/runs/a/image.zarr', 's3://b/a/i.zarr')
    """
    if "://" in relative or os.path.isabs(relative):
        return relative
    bucket, there = _bucket(canonical(output)), canonical(output)
    below = there.removeprefix(bucket)
    return bucket + os.path.normpath(f"{below}/{relative}")


def _bucket(canonical_url: str) -> str:
    """Protocol and bucket or host of a URL; "" for a path."""
    protocol, _, path = canonical_url.rpartition("://")
    return f"{protocol}://{path.partition('/')[0]}" if protocol else ""


@patient
def last_change(url: str) -> str:
    """Something that changes with an array that others wrote, as cheap as its file system allows.

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
    """Raise what kept zarr from finding out what is at `url`; return if nothing is there.

    A store that does not respond, or not to us, is not an empty one.
    """
    if fault_of(error) not in (None, "missing"):
        raise renamed(f"cannot reach {url}", error, VolumeError) from error


def reaching(url: str) -> AbstractContextManager[None]:
    """Whatever a file system raises about what is at `url` becomes a VolumeError."""
    way_out = "check the address and the credentials in the environment"
    return renaming(f"cannot reach {url}", VolumeError, otherwise=way_out)


def reading(what: str) -> AbstractContextManager[None]:
    """Whatever zarr, a codec or the file system raises becomes a VolumeError that names `what`."""
    way_out = "the file may be cut short: write the volume again"
    return renaming(f"cannot read {what}", VolumeError, otherwise=way_out)


def writing(what: str) -> AbstractContextManager[None]:
    """The same for writing, where all but the errors of file systems are bugs."""
    way_out = "check the place and its file system"
    return renaming(f"cannot write {what}", VolumeError, otherwise=way_out, content=OSError)

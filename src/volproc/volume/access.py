"""Where errors of zarr and the file system become a VolumeError; and what lies at a URL."""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from volproc.errors import VolprocError, VolumeError
from volproc.location import located

LOCAL = ("file://", "local://")


def exists(url: str) -> bool:
    """Whether anything is stored at `url`."""
    with reaching(url):
        filesystem, path = _place(url)
        return bool(filesystem.exists(path))


def is_occupied(url: str) -> bool:
    """Whether something is stored at `url`; an empty folder is nothing, nor what a kill left.

    A kill may leave partial files, and one of the two files that make a group of Zarr 2.
    """
    with reaching(url):
        filesystem, path = _place(url)
        if not filesystem.exists(path) or filesystem.isfile(path):
            return bool(filesystem.exists(path))
        names = (name.rpartition("/")[2] for name in filesystem.ls(path, detail=False))
        whole = [name for name in names if not name.endswith(".partial")]
        return whole not in ([], [".zgroup"], [".zattrs"])


def _place(url: str) -> tuple[Any, str]:
    """The file system of `url` and the path there. Lists that it remembers are dropped.

    zarr writes past them, and so do other processes: what they made would be missing.
    """
    filesystem, path = located(url)
    filesystem.invalidate_cache()
    return filesystem, path


def local_path(url: str) -> Path | None:
    """Where `url` lies on this machine's own file system; None if it does not.

    >>> local_path("file:///data/a.zarr"), local_path("memory://a.zarr")
    (PosixPath('/data/a.zarr'), None)
    """
    if "://" not in url:
        return Path(url)
    return Path(located(url)[1]) if url.startswith(LOCAL) else None


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


def place_from(url: str, output: str) -> str:
    """Where `url` lies, seen from what is made of it: the same after both moved together.

    >>> place_from("runs/a/image.zarr", "runs/a/objects.zarr"), place_from("s3://b/i.zarr", "o")
    ('../image.zarr', 's3://b/i.zarr')
    """
    here, there = local_path(url), local_path(output)
    return os.path.relpath(canonical(url), canonical(output)) if here and there else canonical(url)


def for_zarr(url: str) -> str:
    """The same place as zarr is told it: a path on this machine, where it writes files whole.

    >>> for_zarr("file:///data/a.zarr"), for_zarr("s3://bucket/a.zarr")
    ('/data/a.zarr', 's3://bucket/a.zarr')
    """
    return str(local_path(url) or url)


def last_change(url: str) -> str:
    """What changes when an array that others wrote does, as cheaply as its file system tells.

    Locally the date of its youngest folder: a chunk that is replaced changes its folder's, one
    overwritten in place does not. Elsewhere the properties (date, ETag) of its metadata file.
    """
    folder = local_path(url)
    if folder:
        dates = (os.stat(inner).st_mtime_ns for inner, _, _ in os.walk(folder))
        return str(max(dates, default=0))
    with reaching(url):
        filesystem, path = _place(url)
        names = (f"{path}/{name}" for name in ("zarr.json", ".zarray", "attributes.json"))
        return next((str(filesystem.ukey(name)) for name in names if filesystem.exists(name)), "")


def remove_file(url: str) -> None:
    """Remove the file at `url` if there is one."""
    with writing(url):
        filesystem, path = _place(url)
        if filesystem.exists(path):
            filesystem.rm_file(path)


def remove_tree(url: str) -> None:
    """Remove everything at `url`; a link is removed, not what it points to."""
    with writing(url):
        here = local_path(url)
        if here and here.is_symlink():
            here.unlink()
            return
        filesystem, path = _place(url)
        if filesystem.exists(path):
            filesystem.rm(path, recursive=True)


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Whatever a file system raises when it is asked what lies at `url` becomes a VolumeError."""
    try:
        yield
    except VolprocError:
        raise
    except Exception as error:
        raise VolumeError(
            f"cannot reach {url}: {first_line(error)}; check the address and the credentials in "
            "the environment"
        ) from error


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever zarr, a codec or the file system raises becomes a VolumeError that names `what`."""
    try:
        yield
    except Exception as error:
        raise VolumeError(
            f"cannot read {what}: {first_line(error)}; "
            "the file may be cut short: write the volume again"
        ) from error


@contextmanager
def writing(what: str) -> Iterator[None]:
    """The same for writing; a full disk is told apart."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise VolumeError(
                f"no space left while writing {what}; free some space and run the same command "
                "again: finished blocks are kept"
            ) from error
        raise VolumeError(f"cannot write {what}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error says, in one line; its type where it says nothing."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]

"""Where errors of zarr and the file system become a VolumeError; and what lies at a URL."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec

from volproc.errors import VolumeError


def exists(url: str) -> bool:
    """Whether anything is stored at `url`."""
    filesystem, path = fsspec.core.url_to_fs(url)
    return bool(filesystem.exists(path))


def is_occupied(url: str) -> bool:
    """Whether something is stored at `url`; an empty folder is nothing, nor what a kill left."""
    filesystem, path = fsspec.core.url_to_fs(url)
    if not filesystem.exists(path) or filesystem.isfile(path):
        return bool(filesystem.exists(path))
    return not all(name.endswith(".partial") for name in filesystem.ls(path, detail=False))


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

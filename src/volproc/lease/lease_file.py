"""Lease files, at any path or fsspec URL: of two processes that create one, one succeeds."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from volproc.location import filesystem_of
from volproc.retry import PatientFile, patient, patiently

NAME = re.compile(r"lease-(\d+)\.json(\.partial)?")
_creating = threading.Lock()


def newest(root: str) -> tuple[int, bytes]:
    """The highest epoch that has a lease there, and the content of its file; (0, b"") without."""
    filesystem, folder = filesystem_of(root)
    while True:
        filesystem.invalidate_cache(folder)
        try:
            names = patiently(partial(filesystem.ls, folder, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return 0, b""
        epoch = max(_epochs(names), default=0)
        if not epoch:
            return 0, b""
        with suppress(FileNotFoundError):  # the next owner has just removed it: its own is there
            content: bytes = patiently(partial(filesystem.cat_file, _path(folder, epoch)))
            return epoch, content


def _epochs(names: list[str]) -> Iterator[int]:
    for name in names:
        found = NAME.fullmatch(name.rpartition("/")[2])
        if found and not found[2]:
            yield int(found[1])


@patient
def create(root: str, epoch: int, content: bytes) -> None:
    """Write the lease of an epoch unless there is one: the file names its owner."""
    filesystem, folder = filesystem_of(root)
    path = _path(folder, epoch)
    if isinstance(filesystem, LocalFileSystem):
        Path(folder).mkdir(
            parents=True, exist_ok=True
        )  # os.makedirs asks isdir, which hides errors
        # not found: a former owner has just removed its empty folder
        with (
            suppress(FileExistsError, FileNotFoundError),
            PatientFile(open, path, "xb", buffering=0) as file,
        ):
            file.write(content)
        return
    try:
        with _creating:  # memory:// looks first and writes then
            filesystem.pipe_file(path, content, mode="create")
    except Exception:  # each library has its own error for a file that exists
        filesystem.invalidate_cache(folder)
        if not filesystem.exists(path):
            raise


@patient
def overwrite(root: str, epoch: int, content: bytes) -> None:
    """Replace the content of a lease; readers see the old one or the new one."""
    filesystem, folder = filesystem_of(root)
    path = _path(folder, epoch)
    if isinstance(filesystem, LocalFileSystem):
        partial = f"{path}.partial"
        Path(partial).write_bytes(content)
        os.replace(partial, path)
    else:
        filesystem.pipe_file(path, content)


@patient
def remove_older(root: str, epoch: int) -> None:
    """Remove the leases before this one."""
    filesystem, folder = filesystem_of(root)
    for name in filesystem.ls(folder, detail=False):
        found = NAME.fullmatch(name.rpartition("/")[2])
        if found and int(found[1]) < epoch:
            with suppress(FileNotFoundError):
                filesystem.rm_file(name)


@patient
def remove_alone(root: str, epoch: int) -> bool:
    """Remove a lease and its folder, if there is nothing else; whether it was so."""
    filesystem, folder = filesystem_of(root)
    path = _path(folder, epoch)
    if [name.rpartition("/")[2] for name in filesystem.ls(folder, detail=False)] != [
        path.rpartition("/")[2]
    ]:
        return False
    filesystem.rm_file(path)
    if isinstance(filesystem, LocalFileSystem):
        with suppress(OSError):  # another file has appeared
            os.rmdir(folder)
    return True


def _path(folder: str, epoch: int) -> str:
    return f"{folder}/lease-{epoch:06}.json"

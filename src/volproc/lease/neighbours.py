"""Where the leases of an output are, of the folders around it and of the outputs inside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

from fsspec.implementations.local import LocalFileSystem

from volproc.errors import LeaseError
from volproc.faults import renaming
from volproc.location import filesystem_of
from volproc.retry import patient

BESIDE, OF_RUN = ".volproc", "/ledger"
"""How the paths of records end: those of a command's output, and those of a run's folder."""
LEVELS = 4
"""So many folders above an output are checked for a lease."""


def guarded(root: str) -> str:
    """The output that has its records at `root`."""
    return root.removesuffix(BESIDE).removesuffix(OF_RUN)


def resolved(root: str) -> str:
    """The same place under its real path: links are followed."""
    with reaching(root):
        filesystem, path = filesystem_of(root)
    if not isinstance(filesystem, LocalFileSystem):
        return root
    output = guarded(path)
    return os.path.realpath(output) + path[len(output) :]


def around(root: str) -> Iterator[str]:
    """The records of the folders above an output: the image of labels, the run it belongs to."""
    place, url = guarded(root), "://" in root
    for _ in range(LEVELS):
        place = place.rpartition("/")[0]
        if place.endswith(("/", ":")) or not place or (url and place.count("/") < 3):
            return
        yield place + BESIDE
        yield place + OF_RUN


def inside(root: str) -> Iterator[str]:
    """The records of outputs inside an output: labels in an image, the volumes of a run."""
    output = guarded(root)
    images = [output]
    if root.endswith(OF_RUN):
        names = _names(output)
        yield from (f"{output}/{name}" for name in names if name.endswith(BESIDE))
        images = [f"{output}/{name}" for name in names if name.endswith(".zarr")]
    for image in images:
        for name in _names(f"{image}/labels"):
            if name.endswith(BESIDE):
                yield f"{image}/labels/{name}"


@patient
def _names(folder: str) -> list[str]:
    filesystem, path = filesystem_of(folder)
    filesystem.invalidate_cache(path)  # other processes write there too
    try:
        found = filesystem.ls(path, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name.rstrip("/").rpartition("/")[2] for name in found)


def reaching(root: str) -> AbstractContextManager[None]:
    """What a file system raises becomes a LeaseError: without an owner nothing is begun."""
    doing = f"cannot write the record of who writes {guarded(root)}, at {root}"
    way_out = "fix that and run the same command again"
    return renaming(doing, LeaseError, otherwise=way_out)

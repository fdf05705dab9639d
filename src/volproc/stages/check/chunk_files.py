"""The list of a volume's files: what a crash left behind, and what should be there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.location import entries, filesystem_of, name_of
from volproc.stages.check.findings import Finding, error, warning
from volproc.stages.check.level_metadata import FoundImage
from volproc.volume.stored_arrays import StoredArray

NAMED = 3
"""So many missing files are named, the others counted."""


@dataclass
class ChunkFiles:
    """Which files of a level are there. `lost`: some of its voxels are not what was written."""

    array: StoredArray
    present: npt.NDArray[np.bool_]
    lost: bool = False

    @property
    def missing(self) -> int:
        """How many are not: these read as the fill value."""
        return int(self.present.size - np.count_nonzero(self.present))


def list_files(url: str, images: Iterable[FoundImage]) -> tuple[list[Finding], list[ChunkFiles]]:
    """What is wrong with the files below `url`, and which files each level has.

    Missing files are wrong in volumes that volproc finished: it writes every file. In labels of its
    earlier versions, and in what others wrote, files without content may be left out. Where files
    cannot be listed (most web servers) that is the only finding.
    """
    images = list(images)
    levels = [level.array for image in images for level in image.levels]
    chunks = [ChunkFiles(array, np.zeros(array.grid, dtype=np.bool_)) for array in levels]
    below = {one.array.url.removeprefix(f"{url}/"): one for one in chunks}
    found = []
    try:
        for array, name, size in _walk(url, below):
            found += _about(url, array, name, size, below)
    except Exception as problem:  # each file system fails with errors of its own
        reason = str(problem) or type(problem).__name__
        what = f"its files cannot be listed, so missing ones go unseen ({reason.splitlines()[0]})"
        return [warning(url, what)], []
    complete = {
        level.array.url
        for image in images
        for level in image.levels
        if image.complete and image.finished
    }
    for one in chunks:
        if one.missing and one.array.url in complete:
            one.lost = True
            found.append(_missing(one))
    return found, chunks


def _walk(url: str, arrays: Iterable[str]) -> Iterator[tuple[str, str, int | None]]:
    """Array that a file is in ("" if none), its name below that or `url`, its bytes if known."""
    filesystem_of(url)[0].invalidate_cache()  # what another process wrote since must be seen
    arrays = set(arrays)
    left: list[tuple[str, tuple[str, ...]]] = [("", ())]
    while left:
        folder, above = left.pop()
        inside, below = _split(folder, arrays)
        for inner, facts in entries(f"{url}/{folder}".rstrip("/")):
            name = name_of(inner)
            if facts["type"] != "directory":
                yield inside, f"{below}/{name}".lstrip("/"), facts.get("size")
                continue
            real = os.path.realpath(str(facts["name"])) if facts.get("islink") else inner
            if real not in above:  # else a link leads back up
                left.append((f"{folder}/{name}".lstrip("/"), (*above, real)))


def _split(folder: str, arrays: set[str]) -> tuple[str, str]:
    """The array that a folder is in and the path below it; "" and the folder if none.

    >>> _split("labels/a/0/c/1", {"0", "labels/a/0"}), _split("OME", {"0"})
    (('labels/a/0', 'c/1'), ('', 'OME'))
    """
    parts = folder.split("/")
    for length in range(len(parts), 0, -1):
        if "/".join(parts[:length]) in arrays:
            return "/".join(parts[:length]), "/".join(parts[length:])
    return "", folder


def _about(
    url: str, array: str, name: str, size: int | None, chunks: dict[str, ChunkFiles]
) -> list[Finding]:
    where = f"{url}/{array}/{name}" if array else f"{url}/{name}"
    if name.endswith(".partial"):
        return [warning(where, "was left half written by a killed process; remove it")]
    one = chunks.get(array)
    position = one.array.position(name) if one else None
    if one and position is not None:
        one.present[position] = True
        if size == 0:
            one.lost = True
            return [error(where, "is empty (0 bytes): its voxels are lost", file=True)]
    return []


def _missing(one: ChunkFiles) -> Finding:
    places = np.argwhere(~one.present)[:NAMED]
    names = [one.array.file(tuple(map(int, p)))[len(one.array.url) + 1 :] for p in places]
    named = ", ".join(names) + (", ..." if one.missing > NAMED else "")
    what = f"{one.missing} of {one.present.size} chunk files are missing ({named})"
    return error(one.array.url, f"{what}: their voxels are lost", file=True)

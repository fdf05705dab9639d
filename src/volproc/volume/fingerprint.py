"""The fingerprint of a volume: it changes when metadata or any voxel on disk does.

Voxels are not read. What counts are the names, sizes and dates of all files of all levels (ETags on
object stores), from one listing: about 5 s for a million files on a local disk. So an edit by any
program shows, and so does a copy that did not keep its dates (`cp -a` and `rsync -a` do).

When volproc finishes a volume, a digest of the listing is stored among the records of its maker. As
long as that still matches, the fingerprint is the digest of what the volume was made from: two runs
that make the same bytes agree on it, whenever they ran.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from volproc.location import filesystem_of
from volproc.retry import patient
from volproc.volume.access import exists, last_change, local_path, reaching, remove_file
from volproc.volume.file_io import read_file, write_file
from volproc.volume.metadata import VolumeInfo

Entry = tuple[str, int, str]
"""Name below the folder that was listed, bytes, and its date or ETag."""

UNLISTED = ("http://", "https://")
"""Web servers seldom list folders: there the metadata file of each level has to do."""
LISTERS = 8
"""Levels of a volume on an object store that are listed at the same time."""


def fingerprint(info: VolumeInfo) -> str:
    """What `info` and the files behind it are, in 16 hexadecimal digits.

    Of a volume that is planned and not made yet: what it will be made from. VolumeError if its
    files cannot be listed.
    """
    planned = bool(info.provenance) and not info.provenance.get("finished")
    stored = info.provenance.get("recipe", {}) if planned else _stored(info)
    levels = [
        (level.path, level.shape, [*map(float, (*level.voxel_nm, *level.translation_nm))])
        for level in info.levels
    ]
    picked = [info.picked] if info.picked else []
    known = [info.kind, info.dtype, info.channels, levels, stored, *picked]
    described = json.dumps(known, sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _stored(info: VolumeInfo) -> str:
    files, noted = content(info), noted_content(info.url)
    return str(info.provenance["digest"]) if files == noted and info.provenance else files


def note_content(records: str, info: VolumeInfo) -> None:
    """Store a digest of the volume's files among `records`, unless there is one.

    A repaired volume keeps its first: nobody knows what else was changed in it.
    """
    note = _note(records, info.url)
    if not exists(note):
        write_file(note, content(info).encode())


def forget_content(records: str, url: str) -> None:
    """Drop the digest of a volume that is about to be remade."""
    remove_file(_note(records, url))


def noted_content(url: str) -> str:
    """The digest from when the volume at `url` was finished; "" if there is none or it is lost."""
    plain = url.rstrip("/")
    image, folder = plain.partition("/labels/")[0], plain.rpartition("/")[0] or "."
    for records in (f"{plain}.volproc/ledger", f"{image}.volproc/ledger", f"{folder}/ledger"):
        note = _note(records, plain)
        if exists(note):
            return read_file(note).decode()
    return ""


def _note(records: str, url: str) -> str:
    return f"{records}/content-of-{url.rstrip('/').rpartition('/')[2]}.txt"


def content(info: VolumeInfo) -> str:
    """Digest of the files of all levels: their names, sizes and dates, or ETags."""
    levels = [f"{info.url}/{level.path}" for level in info.levels]
    if info.url.startswith(UNLISTED):
        return _digest([last_change(url)] for url in levels)
    with ThreadPoolExecutor(LISTERS) as pool:
        return _digest(pool.map(lambda url: sorted(entries(url)), levels))


def listing(folder: str) -> str:
    """Digest of all files below `folder`: names, sizes and dates, or ETags."""
    return _digest([sorted(entries(folder))])


def entries(folder: str) -> Iterator[Entry]:
    """Every file below `folder`, in no order; none if there is no such folder."""
    with reaching(folder):
        path = local_path(folder)
        yield from _here(str(path), "") if path else _elsewhere(folder)


def _here(folder: str, below: str) -> Iterator[Entry]:
    for name, status in _listed(folder):
        if status is None:
            yield from _here(f"{folder}/{name}", f"{below}{name}/")
        else:
            yield f"{below}{name}", status.st_size, str(status.st_mtime_ns)


@patient
def _listed(folder: str) -> list[tuple[str, os.stat_result | None]]:
    """Names in a folder, with the status of files and None for folders. Links are followed: a level
    may be one to another disk."""
    try:
        found = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    with found:
        whole = (one for one in found if not one.name.endswith(".partial"))
        return [(one.name, None if one.is_dir() else one.stat()) for one in whole]


def _elsewhere(folder: str) -> Iterator[Entry]:
    filesystem, root = filesystem_of(folder)
    for name, facts in _found(filesystem, root).items():
        yield name[len(root) :].lstrip("/"), int(facts.get("size") or 0), _date_or_etag(facts)


@patient
def _found(filesystem: Any, root: str) -> dict[str, dict[str, Any]]:
    filesystem.invalidate_cache()  # other processes write there too
    found: dict[str, dict[str, Any]] = filesystem.find(root, detail=True)
    return found


def _date_or_etag(facts: dict[str, Any]) -> str:
    names = ("ETag", "etag", "LastModified", "last_modified", "mtime", "created")
    return str(next((facts[name] for name in names if facts.get(name)), ""))


def _digest(listed: Any) -> str:
    made = hashlib.sha256()
    for level in listed:
        for entry in level:
            made.update(repr(entry).encode())
        made.update(b"|")
    return made.hexdigest()[:16]

"""Absence is an error: a chunk that volproc wrote and that is gone is never read as background.

Zarr reads a chunk without a file as the fill value. volproc writes every file of its volumes, so
there a missing one is lost, or not visible yet: shared file systems may show what another machine
wrote up to a minute late.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import StorePath, WrapperStore

from volproc.errors import VolumeError
from volproc.location import filesystem_of
from volproc.volume.metadata import Kind, VolumeInfo

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Between looks for a file that is not visible: a minute in all."""
LAG = timedelta(minutes=5)
"""Until so long after a volume was finished some of its files may not be visible everywhere."""

sleep = time.sleep
T = TypeVar("T")


def has_all_chunks(record: dict[str, Any], kind: Kind) -> bool:
    """Whether every chunk of a volume has its file, by the volume's provenance (`record`).

    Labels do since the provenance has `complete`; before, their background had no files.
    """
    return bool(record) and bool(record.get("complete", kind == "image"))


def requiring_chunks(array: zarr.Array[Any], info: VolumeInfo) -> zarr.Array[Any]:
    """The array, for a volume whose chunks all have a file: AbsentError where one is missing."""
    store = CompleteStore(array.store_path.store, info.url)
    place = StorePath(store, array.store_path.path)
    inner = array.async_array
    return zarr.Array(zarr.AsyncArray(inner.metadata, place, inner.config))


def when_there(info: VolumeInfo, read: Callable[[], T]) -> T:
    """What `read` returns, retried for a minute while files are missing that may still appear."""
    pauses = iter(PAUSES_S)
    while True:
        try:
            return read()
        except AbsentError as absent:
            pause = next(pauses, None) if _may_come(info) else None
            if pause is None:
                raise
            sleep(pause)
            _look_again(info, absent.key)


class AbsentError(VolumeError):
    """A chunk of a volume has no file, or an empty one."""

    def __init__(self, url: str, key: str, what: str) -> None:
        super().__init__(
            f"{url}/{key} was written and is {what}: its voxels are lost; "
            f"`volproc check --repair {url}`, then the command that made it, makes them again"
        )
        self.key = key


class CompleteStore(WrapperStore[Any]):
    """A store that has all chunks; it makes no more requests than the store it wraps."""

    def __init__(self, store: Any, url: str) -> None:
        super().__init__(store)
        self.url = url

    def _with_store(self, store: Any) -> CompleteStore:
        return CompleteStore(store, self.url)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """What is stored there; AbsentError for a chunk of which nothing is."""
        found: Buffer | None = await self._store.get(key, prototype, byte_range)
        if not found and not _describes(key):
            raise AbsentError(self.url, key, "gone" if found is None else "empty")
        return found


def _may_come(info: VolumeInfo) -> bool:
    """Whether a volume is so young that some of its files may not be visible here yet."""
    if not info.provenance.get("finished"):
        return True
    filesystem, path = filesystem_of(info.url)
    name = "zarr.json" if info.version == "0.5" else ".zattrs"
    try:
        age = datetime.now(UTC) - filesystem.modified(f"{path}/{name}")
    except (OSError, NotImplementedError, TypeError, KeyError):
        return False  # a file system that does not know
    return bool(age < LAG)


def _look_again(info: VolumeInfo, key: str) -> None:
    """Drop what the file system has cached of the folders above a file."""
    filesystem, path = filesystem_of(info.url)
    filesystem.invalidate_cache()
    with suppress(OSError):
        for part in Path(key).parent.parts:
            path = f"{path}/{part}"
            filesystem.ls(path, detail=False)


def _describes(key: str) -> bool:
    """Whether a file is metadata, which may be missing."""
    return key.rpartition("/")[2] in ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")

"""Files of the given stores, and of nothing else: what a browser may read through the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from volproc.errors import VolumeError
from volproc.location import filesystem_of
from volproc.retry import patient
from volproc.volume.access import local_path


class ForbiddenError(VolumeError):
    """A path that leads out of its store."""


@dataclass(frozen=True)
class Store:
    """A folder at a path or URL."""

    url: str

    def size(self, key: str) -> int:
        """Bytes of a file; FileNotFoundError if there is none, ForbiddenError outside."""
        filesystem, path = self._file(key)
        return _size(filesystem, path)

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Bytes `start` up to, not including, `stop` of a file."""
        filesystem, path = self._file(key)
        return _read(filesystem, path, start, stop)

    def _file(self, key: str) -> tuple[Any, str]:
        parts = key.split("/")
        if not key or any(part in ("", ".", "..") for part in parts) or "\\" in key:
            raise ForbiddenError(f"{key!r} is no file of {self.url}")
        folder = local_path(self.url)
        if folder:
            file = (folder / key).resolve()
            if not file.is_relative_to(folder.resolve()):
                raise ForbiddenError(f"{key} leads out of {self.url}: links are not followed there")
        return filesystem_of(f"{self.url.rstrip('/')}/{key}")


@patient
def _size(filesystem: Any, path: str) -> int:
    found = filesystem.info(path)
    if found.get("type") == "directory":
        raise FileNotFoundError(path)
    return int(found["size"])


@patient
def _read(filesystem: Any, path: str, start: int, stop: int) -> bytes:
    content: bytes = filesystem.cat_file(path, start=start, end=stop)
    return content


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one past the last that a Range header asks for; None if it is not met.

    >>> byte_range("bytes=2-5", 10), byte_range("bytes=-3", 10), byte_range("bytes=8-", 10)
    ((2, 6), (7, 10), (8, 10))
    """
    kind, _, asked = header.partition("=")
    first, dash, last = asked.partition("-")
    if kind.strip() != "bytes" or not dash or not (first or last).strip().isdigit():
        return None
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last.strip() else size
    return (start, stop) if start < stop else None

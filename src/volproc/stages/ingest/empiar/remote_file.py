"""A file on a server, and what a server sends of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from volproc.stages.ingest.voxel_source import Stamp

DATE = "%Y-%m-%dT%H:%M:%SZ"
"""How dates of files are written, always UTC."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of an entry, as its server describes it."""

    path: str
    """Inside the entry: data/Micrographs_ROI_00/slice_0001.dm4."""
    url: str
    bytes: int | None = None
    slack: int = 0
    """By how much `bytes` may be off: pages of an archive show rounded sizes."""
    date: str = ""
    """When it was changed, UTC: 2017-05-16T10:32:11Z."""
    etag: str = ""
    """The name the server gives this state of the file."""
    md5: str | None = None

    @property
    def stamp(self) -> Stamp:
        """Name, size and date for a source's identity."""
        return self.path.rpartition("/")[2], self.bytes or 0, self.date or self.etag

    def same(self, other: RemoteFile) -> bool:
        """Whether two descriptions of this path can be of one state of the file.

        Dates count before ETags: several machines behind one name may differ in the latter.
        """
        for mine, theirs in ((self.date, other.date), (self.etag, other.etag)):
            if mine and theirs:
                return mine == theirs and self.agrees(other)
        return self.agrees(other)

    def agrees(self, other: RemoteFile) -> bool:
        """Whether the sizes are equal, as far as they are known."""
        if self.bytes is None or other.bytes is None:
            return True
        return abs(self.bytes - other.bytes) <= max(self.slack, other.slack)


@dataclass(frozen=True)
class Response:
    """Bytes of a file from `start` on, and the file as the server describes it now."""

    file: RemoteFile
    start: int
    chunks: Iterator[bytes]


def seconds(date: str) -> int:
    """A file's date as Unix time.

    >>> seconds("1970-01-02T00:00:01Z")
    86401
    """
    return int(datetime.strptime(date, DATE).replace(tzinfo=UTC).timestamp())

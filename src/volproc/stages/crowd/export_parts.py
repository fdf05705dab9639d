"""A large text file in parts: each task writes one, and the run joins them without holding them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from volproc.location import filesystem_of
from volproc.retry import PatientFile
from volproc.volume.access import local_path, reading, remove_file
from volproc.volume.file_io import write_file, write_pieces

PIECE_BYTES = 2**20


@dataclass(frozen=True)
class Parts:
    """The folder of the parts, at any path or fsspec URL."""

    folder: str

    def save(self, index: int, rows: str) -> None:
        """Keep the part of block `index`; there whole or not at all."""
        write_file(self._url(index), rows.encode())

    def join(self, url: str, indices: Iterable[int], *, first: str) -> None:
        """Make the file `url` of the line `first` and the parts, in the order of `indices`."""
        write_pieces(url, self._pieces(first, indices))

    def remove(self, indices: Iterable[int]) -> None:
        """Remove the parts, and the folder if nothing else is in it."""
        for index in indices:
            remove_file(self._url(index))
        folder = local_path(self.folder)
        if folder:
            with suppress(OSError):
                folder.rmdir()

    def _pieces(self, first: str, indices: Iterable[int]) -> Iterator[bytes]:
        yield first.encode()
        for index in indices:
            filesystem, path = filesystem_of(self._url(index))
            with reading(self._url(index)), PatientFile(filesystem.open, path, "rb") as part:
                while piece := part.read(PIECE_BYTES):
                    yield piece

    def _url(self, index: int) -> str:
        return f"{self.folder}/{index:06}.csv"

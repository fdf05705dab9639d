"""A large text file in parts: each task writes one, and the run joins them without holding them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO
from uuid import uuid4

from fsspec.implementations.local import LocalFileSystem

from volproc.location import located
from volproc.volume.access import local_path, reading, remove_file, writing
from volproc.volume.files import write_file

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
        filesystem, path = located(url)
        local = isinstance(filesystem, LocalFileSystem)
        partial = f"{path}.{uuid4().hex}.partial" if local else path
        with writing(url):
            with filesystem.open(partial, "wb") as file:
                file.write(first.encode())
                for index in indices:
                    self._copy(index, file)
            if local:
                os.replace(partial, path)

    def remove(self, indices: Iterable[int]) -> None:
        """Remove the parts, and the folder if nothing else is in it."""
        for index in indices:
            remove_file(self._url(index))
        folder = local_path(self.folder)
        if folder:
            with suppress(OSError):
                folder.rmdir()

    def _copy(self, index: int, file: BinaryIO) -> None:
        filesystem, path = located(self._url(index))
        with reading(self._url(index)), filesystem.open(path, "rb") as part:
            shutil.copyfileobj(part, file, PIECE_BYTES)

    def _url(self, index: int) -> str:
        return f"{self.folder}/{index:06}.csv"

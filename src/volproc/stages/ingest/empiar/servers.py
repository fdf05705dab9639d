"""Servers that hold files, https, http and ftp alike, with one patience for all connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Self
from urllib.parse import quote, urlsplit

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.ftp import Ftp, ftp_date
from volproc.stages.ingest.empiar.http import Web
from volproc.stages.ingest.empiar.index import parse_index
from volproc.stages.ingest.empiar.retries import (
    Answer,
    Patience,
    RemoteFile,
)
from volproc.stages.ingest.options import FetchOptions


class Archive:
    """What can be asked of servers. Thread-safe; a context manager that closes its connections."""

    def __init__(self, options: FetchOptions) -> None:
        self.patience = Patience(options.tries)
        self._web = Web(options, self.patience)
        self._ftp = Ftp(options.timeout_s, self.patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._web.close()

    def folder(self, url: str) -> Iterator[tuple[RemoteFile, bool]]:
        """What is in the folder `url`; the flag says whether it is a folder again.

        Paths are names. Over ftp sizes are exact and dates known, over https neither.
        """
        if _is_ftp(url):
            for told in self._ftp.folder(url):
                name, is_folder = str(told["name"]).rpartition("/")[2], told["type"] == "directory"
                date = ftp_date(str(told.get("modify", "")))
                place = _inside(url, name, is_folder)
                yield RemoteFile(name, place, int(told["size"]), date=date), is_folder
        else:
            page = self._web.page(url).decode(errors="replace")
            for link in parse_index(page, url):
                place = _inside(url, link.name, link.folder)
                yield RemoteFile(link.name, place, link.bytes, link.slack), link.folder

    def page(self, url: str) -> bytes:
        """The whole of a small file or answer, after some tries; NotThere, or IngestError."""
        return self._ftp.page(url) if _is_ftp(url) else self._web.page(url)

    def look(self, file: RemoteFile) -> RemoteFile:
        """The file with its exact size and date, if its server tells."""
        return file if _is_ftp(file.url) else self._web.look(file)

    def open(self, file: RemoteFile, start: int) -> AbstractContextManager[Answer]:
        """The file's bytes from `start` on if it still is as `file` says, else from 0 on.

        One attempt: BrokenOff where another may help, NotThere where none will.
        """
        return self._ftp.open(file, start) if _is_ftp(file.url) else self._web.open(file, start)


def _is_ftp(url: str) -> bool:
    scheme = urlsplit(url).scheme
    if scheme not in ("ftp", "http", "https"):
        raise IngestError(
            f"{url} is none of https://, http://, ftp://; see [fetch] archive and api"
        )
    return scheme == "ftp"


def _inside(url: str, name: str, is_folder: bool) -> str:
    return url + quote(name) + "/" * is_folder

"""Servers of files, by https, http and ftp alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol, Self
from urllib.parse import urlsplit

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.ftp import Ftp
from volproc.stages.ingest.empiar.http import Http
from volproc.stages.ingest.empiar.remote_file import RemoteFile, Response
from volproc.stages.ingest.empiar.retries import Retries
from volproc.stages.ingest.options import FetchOptions


class Server(Protocol):
    """What the servers of a scheme can send. Thread-safe.

    All but `open` try several times; NotFound, or IngestError, one line each.
    """

    def folder(self, url: str) -> Iterator[tuple[RemoteFile, bool]]:
        """What is in a folder; the flag says whether it is a folder again. Paths are names.

        Over ftp sizes are exact and dates known, over https neither.
        """

    def page(self, url: str) -> bytes:
        """The whole of a small file or page."""

    def look(self, file: RemoteFile) -> RemoteFile:
        """The file with its exact size and date, if its server states them.

        IngestError if the size is not the one of the listing.
        """

    def open(self, file: RemoteFile, start: int) -> AbstractContextManager[Response]:
        """The file's bytes from `start` on, if it still is in the state `file` describes.

        From 0 on if it has changed, or if the server cannot start elsewhere. One try:
        ConnectionBroken where another may help, NotFound where none will.
        """


class Servers:
    """The server of any URL, with retries common to all; a context manager that disconnects."""

    def __init__(self, options: FetchOptions) -> None:
        self.retries = Retries(options.tries)
        self._http = Http(options, self.retries)
        self._ftp = Ftp(options.timeout_s, self.retries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def of(self, url: str) -> Server:
        """The server by the URL's scheme; IngestError for other schemes."""
        scheme = urlsplit(url).scheme
        if scheme not in ("ftp", "http", "https"):
            raise IngestError(
                f"{url} is none of https://, http://, ftp://; see [fetch] archive and api"
            )
        return self._ftp if scheme == "ftp" else self._http

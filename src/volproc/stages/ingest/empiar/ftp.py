"""Files over ftp: folders by fsspec, and bytes from any place on (REST)."""

from __future__ import annotations

import ftplib
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.retries import (
    DATE,
    Answer,
    BrokenOff,
    NotThere,
    Patience,
    RemoteFile,
)

CHUNK_BYTES = 2**20


class Ftp:
    """Connections to an ftp server, one per file in transfer. Thread-safe."""

    def __init__(self, timeout_s: float, patience: Patience) -> None:
        self._timeout_s = timeout_s
        self._patience = patience

    def folder(self, url: str) -> tuple[dict[str, Any], ...]:
        """fsspec's description of every file and folder in the folder `url`, exact sizes included.

        NotThere, or IngestError after some tries; one line each.
        """
        return self._patience.insist(url, partial(self._folder, url))

    def page(self, url: str) -> bytes:
        """The whole of a small file, after some tries; NotThere, or IngestError, one line."""

        def attempt() -> bytes:
            with self.open(RemoteFile(url, url), 0) as answer:
                return b"".join(answer.chunks)

        return self._patience.insist(url, attempt)

    def _folder(self, url: str) -> tuple[dict[str, Any], ...]:
        from fsspec.implementations.ftp import FTPFileSystem

        host, port, path = _place(url)
        with self._renamed(url):
            files = FTPFileSystem(host, port, timeout=self._timeout_s)
            with closing(files.ftp):
                inside = files.ls(path, detail=True)
                return tuple(one for one in inside if not one["name"].endswith(("/.", "/..")))

    @contextmanager
    def open(self, file: RemoteFile, start: int) -> Iterator[Answer]:
        """The file's bytes from `start` on, if it still is in the state `file` describes.

        From 0 on if it has changed, or if the server cannot start elsewhere. One attempt:
        BrokenOff where another may help.
        """
        host, port, path = _place(file.url)
        with self._renamed(file.url), closing(ftplib.FTP(timeout=self._timeout_s)) as server:
            server.connect(host, port)
            server.login()
            server.voidcmd("TYPE I")
            found = _described(file, server, path)
            if not found.same(file) or not _can_start(server, start):
                start = 0
            with (
                closing(server.transfercmd(f"RETR {path}", rest=start or None)) as data,
                self._patience.interruptible(partial(_shut, data)),
            ):
                yield Answer(found, start, self._chunks(server, data))

    def _chunks(self, server: ftplib.FTP, data: socket.socket) -> Iterator[bytes]:
        while chunk := data.recv(CHUNK_BYTES):
            self._patience.check()
            yield chunk
        self._patience.check()  # else an end that `stop` made would pass for the file's
        data.close()
        server.voidresp()  # the server's word that this was all

    @contextmanager
    def _renamed(self, url: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, ftplib.error_perm) as error:
            if str(error).startswith("530"):  # too many guests
                raise BrokenOff(f"the server answers {str(error)[:80]!r}") from error
            raise NotThere(
                f"{url}: the server answers {str(error)[:80]!r}; expected a file that is there and "
                "open to all"
            ) from error
        except TimeoutError as error:
            raise BrokenOff(f"no byte came for {self._timeout_s:g} s") from error
        except ftplib.Error as error:
            raise BrokenOff(f"the server answers {str(error)[:80]!r}") from error
        except (EOFError, OSError) as error:  # a folder's errors have other names by now
            raise BrokenOff(f"the connection broke off ({type(error).__name__})") from error


def _place(url: str) -> tuple[str, int, str]:
    parts = urlsplit(url)
    if not parts.hostname:
        raise IngestError(f"{url} names no server; expected ftp://SERVER/FOLDER/")
    return parts.hostname, parts.port or ftplib.FTP_PORT, unquote(parts.path)


def _described(file: RemoteFile, server: ftplib.FTP, path: str) -> RemoteFile:
    found = file
    with suppress(ftplib.error_perm):  # not every server knows MDTM
        found = replace(found, date=ftp_date(server.voidcmd(f"MDTM {path}").split()[-1]))
    return replace(found, bytes=server.size(path), slack=0)


def ftp_date(text: str) -> str:
    """A date of ftp's MLSD and MDTM as files' dates are written; empty if it is none.

    >>> ftp_date("20170516103211.123")
    '2017-05-16T10:32:11Z'
    """
    try:
        return datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC).strftime(DATE)
    except ValueError:
        return ""


def _can_start(server: ftplib.FTP, start: int) -> bool:
    try:
        return not start or bool(server.sendcmd(f"REST {start}"))
    except ftplib.error_perm:
        return False


def _shut(data: socket.socket) -> None:
    with suppress(OSError):
        data.shutdown(socket.SHUT_RDWR)

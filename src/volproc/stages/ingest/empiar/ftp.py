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
from urllib.parse import quote, unquote, urlsplit

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.remote_file import DATE, RemoteFile, Response
from volproc.stages.ingest.empiar.retries import ConnectionBroken, NotFound, Retries

CHUNK_BYTES = 2**20


class Ftp:
    """Connections to an ftp server, one per file in transfer. Thread-safe."""

    def __init__(self, timeout_s: float, retries: Retries) -> None:
        self._timeout_s = timeout_s
        self._retries = retries

    def folder(self, url: str) -> Iterator[tuple[RemoteFile, bool]]:
        """See `Server.folder`; sizes are exact."""
        for entry in self._retries.run(url, partial(self._entries, url)):
            name, is_folder = entry["name"].rpartition("/")[2], entry["type"] == "directory"
            place, date = url + quote(name) + "/" * is_folder, ftp_date(entry.get("modify", ""))
            if name not in (".", ".."):
                yield RemoteFile(name, place, int(entry["size"]), date=date), is_folder

    def _entries(self, url: str) -> list[dict[str, Any]]:
        from fsspec.implementations.ftp import FTPFileSystem

        host, port, path = _place(url)
        with self._renamed(url):
            files = FTPFileSystem(host, port, timeout=self._timeout_s)
            with closing(files.ftp):
                return list(files.ls(path, detail=True))

    def page(self, url: str) -> bytes:
        """See `Server.page`."""

        def attempt() -> bytes:
            with self.open(RemoteFile(url, url), 0) as response:
                return b"".join(response.chunks)

        return self._retries.run(url, attempt)

    def look(self, file: RemoteFile) -> RemoteFile:
        """The file: its folder stated all."""
        return file

    @contextmanager
    def open(self, file: RemoteFile, start: int) -> Iterator[Response]:
        """See `Server.open`."""
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
                self._retries.interruptible(partial(_shut, data)),
            ):
                yield Response(found, start, self._chunks(server, data))

    def _chunks(self, server: ftplib.FTP, data: socket.socket) -> Iterator[bytes]:
        while chunk := data.recv(CHUNK_BYTES):
            self._retries.check()
            yield chunk
        self._retries.check()  # else an end that `stop` made would pass for the file's
        data.close()
        server.voidresp()  # the server confirms that this was all

    @contextmanager
    def _renamed(self, url: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, ftplib.error_perm) as error:
            if str(error).startswith("530"):  # too many guests
                raise ConnectionBroken(f"the server responds {str(error)[:80]!r}") from error
            raise NotFound(
                f"{url}: the server responds {str(error)[:80]!r}; expected a file that is there "
                "and open to all"
            ) from error
        except TimeoutError as error:
            raise ConnectionBroken(f"no byte came for {self._timeout_s:g} s") from error
        except ftplib.Error as error:
            raise ConnectionBroken(f"the server responds {str(error)[:80]!r}") from error
        except (EOFError, OSError) as error:  # fsspec has renamed those of a folder
            raise ConnectionBroken(f"the connection broke off ({type(error).__name__})") from error


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

"""Files over http and https: pages, sizes, and bytes from any place on."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import partial
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import exceptions as failures

from volproc import __version__
from volproc.errors import IngestError
from volproc.stages.ingest.empiar.index import parse_index
from volproc.stages.ingest.empiar.remote_file import DATE, RemoteFile, Response, seconds
from volproc.stages.ingest.empiar.retries import ConnectionBroken, NotFound, Retries
from volproc.stages.ingest.options import FetchOptions

CHUNK_BYTES = 2**20
MAX_PAGE_BYTES = 2**28


class Http:
    """Connections to http and https servers, kept open, at most `options.connections` to each.

    Proxies of the environment are used (https_proxy, no_proxy). Thread-safe.
    """

    def __init__(self, options: FetchOptions, retries: Retries) -> None:
        self._options = options
        self._retries = retries
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections that are kept open."""
        for pool in self._pools.values():
            pool.clear()

    def folder(self, url: str) -> Iterator[tuple[RemoteFile, bool]]:
        """See `Server.folder`; sizes are those of the page, rounded."""
        yield from parse_index(self.page(url).decode(errors="replace"), url)

    def page(self, url: str) -> bytes:
        """See `Server.page`."""

        def attempt() -> bytes:
            with self._response("GET", url) as response:
                return b"".join(self._chunks(response, most=MAX_PAGE_BYTES))

        return self._retries.run(url, attempt, tries=min(3, self._options.tries))

    def look(self, file: RemoteFile) -> RemoteFile:
        """See `Server.look`; one request for each file."""

        def attempt() -> RemoteFile:
            try:
                with self._response("HEAD", file.url) as response:
                    return _described(file, response)
            except NotFound:  # not all servers know HEAD; what is wrong with the file, GET tells
                return file

        found = self._retries.run(file.url, attempt)
        if not file.agrees(found):
            raise IngestError(
                f"{file.url}: the server says {found.bytes} bytes, but its listing about "
                f"{file.bytes}; try again later"
            )
        return found

    @contextmanager
    def open(self, file: RemoteFile, start: int) -> Iterator[Response]:
        """See `Server.open`."""
        for headers in _conditions(file, start):
            with self._response("GET", file.url, headers) as response:
                if response.status == 416 and file.bytes is None:
                    continue  # it may be complete: only all of it can tell
                if response.status == 416:
                    raise IngestError(
                        f"{file.url}: the server stated {file.bytes} bytes, but has no more than "
                        f"{start}; the file is not complete: try again later"
                    )
                found, begins = _described(file, response), _begins(response)
                if begins not in (0, start) or (begins and not found.same(file)):
                    continue  # no part of what was begun
                if headers.get("If-Range") == file.etag != found.etag and found.same(file):
                    continue  # another machine with ETags of its own: the date is next
                yield Response(found, begins, self._chunks(response))
                return
        raise ConnectionBroken("the server does not send the part that was requested")

    @contextmanager
    def _response(
        self, method: str, url: str, headers: dict[str, str] | None = None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        timeout_s = self._options.timeout_s
        with _renamed(timeout_s):
            response = self._pool(url).request(
                method,
                url,
                headers={"User-Agent": f"volproc/{__version__}", **(headers or {})},
                preload_content=False,
                timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s),
                # failures are counted in one place, Retries: urllib3 only follows redirects
                retries=urllib3.Retry(None, connect=False, read=False, redirect=5, other=False),
            )
            try:
                if response.status != 416 or not headers:  # no such part: `open` sees to it
                    _refuse(url, response)
                with self._retries.interruptible(partial(_shut, response)):
                    yield response
            finally:
                # a connection whose response was not read to its end cannot carry another one
                if method == "GET" and response.length_remaining != 0:
                    response.close()
                response.release_conn()

    def _chunks(self, response: urllib3.BaseHTTPResponse, most: int = 0) -> Iterator[bytes]:
        got = 0
        with _renamed(self._options.timeout_s):
            while chunk := response.read1(CHUNK_BYTES, decode_content=False):
                self._retries.check()
                got += len(chunk)
                if most and got > most:
                    raise IngestError(f"{response.url} is larger than {most} bytes: not a page")
                yield chunk
        self._retries.check()  # else an end that `stop` made would pass for the file's

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = "" if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme, "")
        with self._lock:
            if proxy not in self._pools:
                size = self._options.connections
                self._pools[proxy] = (
                    urllib3.ProxyManager(proxy, maxsize=size, block=True)
                    if proxy
                    else urllib3.PoolManager(maxsize=size, block=True)
                )
            return self._pools[proxy]


def _conditions(file: RemoteFile, start: int) -> Iterator[dict[str, str]]:
    """Headers to try in turn: a part, if the file is as it was; then all of it."""
    if start:
        part = {"Range": f"bytes={start}-"}
        if file.etag and not file.etag.startswith("W/"):
            yield part | {"If-Range": file.etag}
        if file.date:
            yield part | {"If-Range": formatdate(seconds(file.date), usegmt=True)}
        elif not file.etag:
            yield part
    yield {}


def _described(file: RemoteFile, response: urllib3.BaseHTTPResponse) -> RemoteFile:
    headers = response.headers
    length = headers.get("Content-Length", "")
    total = (
        headers.get("Content-Range", "").rpartition("/")[2] if response.status == 206 else length
    )
    found = replace(file, etag=headers.get("ETag", ""), date="")
    if total.isdecimal():
        found = replace(found, bytes=int(total), slack=0)
    with suppress(ValueError):
        when = parsedate_to_datetime(headers.get("Last-Modified", "")).astimezone(UTC)
        found = replace(found, date=when.strftime(DATE))
    if "Content-MD5" in headers and response.status == 200:  # with a part, it is the part's
        with suppress(ValueError):
            found = replace(found, md5=base64.b64decode(headers["Content-MD5"]).hex())
    return found


def _begins(response: urllib3.BaseHTTPResponse) -> int:
    if response.status != 206:
        return 0
    place = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(place[1]) if place else -1


def _refuse(url: str, response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    if status in (200, 206):
        return
    words = f"the server responds {status}" + (f" ({response.reason})" if response.reason else "")
    if status in (408, 416, 429) or status >= 500:
        raise ConnectionBroken(words, pause_s=_retry_after(response))
    raise NotFound(f"{url}: {words}; expected a file that is there and open to all")


def _retry_after(response: urllib3.BaseHTTPResponse) -> float:
    text = response.headers.get("Retry-After", "")
    try:
        return urllib3.Retry().parse_retry_after(text) if text else 0.0
    except failures.InvalidHeader:
        return 0.0


def _shut(response: urllib3.BaseHTTPResponse) -> None:
    with suppress(ValueError, RuntimeError, OSError):  # it may have ended by itself
        response.shutdown()


@contextmanager
def _renamed(timeout_s: float) -> Iterator[None]:
    try:
        yield
    except failures.NewConnectionError as error:
        raise ConnectionBroken("no connection: is there a network?") from error
    except failures.TimeoutError as error:
        raise ConnectionBroken(f"no byte came for {timeout_s:g} s") from error
    except (failures.SSLError, failures.ProxyError) as error:
        raise ConnectionBroken(f"no connection ({error})") from error
    except failures.HTTPError as error:
        raise ConnectionBroken(f"the connection broke off ({type(error).__name__})") from error

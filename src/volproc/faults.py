"""What an error of the system or of a library means: who can act, and the way out.

The only place that knows the errors of fsspec, botocore, aiohttp and so on. None of them is
imported for it: classes are recognised by name, so a run without S3 never loads botocore.
"""

from __future__ import annotations

import errno
import socket
import struct
import sysconfig
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

from volproc.credentials import masked
from volproc.errors import TransientError, VolprocError

Fault = Literal[
    "transient", "address", "missing", "permission", "credentials", "full", "memory", "package"
]

WAY_OUT: dict[Fault, str] = {
    "transient": "the disk, the network or the server failed for the moment: run the same command "
    "again, finished blocks are kept",
    "address": "no host has that name: check the address and the network",
    "missing": "it is not there: check the path or address, and whether it was moved or removed",
    "permission": "you may not do that there: check the rights of the file or folder, and at a URL "
    "the credentials in the environment",
    "credentials": "check the credentials in the environment (for s3:// AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or a profile)",
    "full": "free some space and run the same command again: finished blocks are kept",
    "memory": "it does not fit in memory: make the block smaller",
    "package": "install the package that is missing",
}

IN_THE_LOG = "its traceback is in log.jsonl"
"""The note on a bug that was written to a log."""

_ERRNO: dict[int, Fault] = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "missing"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "permission"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "full"),
    **{
        getattr(errno, name): "transient"
        for name in (
            *("EAGAIN", "EBUSY", "EINTR", "EIO", "ESTALE", "EREMOTEIO", "EPIPE", "ENOBUFS"),
            *("ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "ETIMEDOUT", "ENETDOWN"),
            *("ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH", "ESHUTDOWN", "ENOTCONN"),
        )
        if hasattr(errno, name)
    },
}
_TYPE: dict[type[BaseException], Fault] = {
    TransientError: "transient",
    TimeoutError: "transient",
    ConnectionError: "transient",
    BlockingIOError: "transient",
    InterruptedError: "transient",
    FileNotFoundError: "missing",
    PermissionError: "permission",
    MemoryError: "memory",
    ImportError: "package",
}
_CLASS: dict[str, Fault] = {
    **dict.fromkeys(
        (
            *("botocore.EndpointConnectionError", "botocore.ConnectionClosedError"),
            *("botocore.HTTPClientError", "botocore.IncompleteReadError"),
            *("botocore.ResponseStreamingError", "aiohttp.ClientConnectionError"),
            *("aiohttp.ClientPayloadError", "urllib3.ProtocolError", "urllib3.TimeoutError"),
            *("urllib3.NewConnectionError", "requests.ConnectionError", "requests.Timeout"),
            *("requests.ChunkedEncodingError", "http.IncompleteRead", "http.BadStatusLine"),
            *("ftplib.error_temp", "google.TransportError", "ssl.SSLEOFError"),
        ),
        "transient",
    ),
    **dict.fromkeys(
        (
            *("botocore.NoCredentialsError", "botocore.PartialCredentialsError"),
            *("botocore.CredentialRetrievalError", "botocore.ProfileNotFound"),
            *("botocore.TokenRetrievalError", "botocore.SSOTokenLoadError"),
            *("google.RefreshError", "google.DefaultCredentialsError"),
        ),
        "credentials",
    ),
    **dict.fromkeys(("aiohttp.ClientSSLError", "ssl.SSLCertVerificationError"), "address"),
    "torch.OutOfMemoryError": "memory",
}
_CODE: dict[str, Fault] = {
    **dict.fromkeys(
        (
            *("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"),
            *("ThrottlingException", "RequestLimitExceeded", "IncompleteBody", "BadDigest"),
            *("OperationAborted", "ConditionalRequestConflict"),
        ),
        "transient",
    ),
    **dict.fromkeys(
        (
            *("ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
            *("TokenRefreshRequired", "RequestTimeTooSkewed"),
        ),
        "credentials",
    ),
    # of Ceph (with 403, as if one may not write), MinIO, and Google's
    **dict.fromkeys(
        (
            *("QuotaExceeded", "InsufficientStorage", "StorageFull", "XMinioStorageFull"),
            *("XMinioAdminBucketQuotaExceeded", "quotaExceeded"),
        ),
        "full",
    ),
}
_STATUS: dict[int, Fault] = {
    **dict.fromkeys((408, 425, 429, 500, 502, 503, 504, 509), "transient"),
    **{401: "credentials", 403: "permission", 404: "missing", 410: "missing", 507: "full"},
}
_WITH_STATUS = {"botocore", "aiohttp", "urllib", "urllib3", "requests", "gcsfs", "google", "adlfs"}
_MISTAKES = (TypeError, AttributeError, NameError, AssertionError, LookupError, ZeroDivisionError)
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
_OURS = str(Path(__file__).parent)


def fault_of(error: BaseException) -> Fault | None:
    """What is wrong outside volproc; None for anything else: bad content, or a bug.

    The error counts and what it was raised from. An error that was being handled when another one
    was raised counts only if it is transient: else a bug in an `except` would be hidden.
    """
    for link, raised_from in _chain(error):
        # s3fs makes OSErrors of botocore's errors: the original says more
        found = _of_library(link.__cause__) or _of_library(link) or _of_system(link)
        if found and (raised_from or found == "transient"):
            return found
    return None


def is_transient(error: BaseException) -> bool:
    """Whether a retry may succeed."""
    return fault_of(error) == "transient"


def is_bug(error: BaseException) -> bool:
    """Whether it is a programming error outside the libraries that are called.

    The same error from inside zarr or tifffile means that a file's content is not what it should
    be.
    """
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename if trace else ""
    # compiled modules, h5py's for instance, name their source: volproc has none of those
    return isinstance(error, _MISTAKES) and (
        file.startswith(_OURS)
        or not (file.startswith((*_LIBRARIES, "<")) or file.endswith((".pyx", ".pxd")))
    )


def renamed(
    doing: str, error: Exception, kind: type[VolprocError], *, otherwise: str = ""
) -> Exception:
    """`error` as one line: what was being done, its message, and the way out that fits the cause.

    TransientError or `kind`; `otherwise` is the way out where the cause is the content. Bugs and
    errors of our own stay what they are.
    """
    fault = fault_of(error)
    if isinstance(error, VolprocError) or (fault is None and is_bug(error)):
        return error
    notes = "".join(f" ({note})" for note in notes_of(error))
    way_out = WAY_OUT[fault] if fault else otherwise
    line = f"{doing}: {first_line(error)}{notes}" + (f"; {way_out}" if way_out else "")
    return (TransientError if fault == "transient" else kind)(line)


@contextmanager
def renaming(
    doing: str,
    kind: type[VolprocError],
    *,
    otherwise: str,
    content: type[Exception] = Exception,
) -> Iterator[None]:
    """Raise errors from inside as `renamed`; those of no known fault if they are `content`."""
    try:
        yield
    except Exception as error:
        if fault_of(error) is None and not isinstance(error, content):
            raise
        line = renamed(doing, error, kind, otherwise=otherwise)
        if line is error:
            raise
        raise line from error


MALFORMED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError),
    *(BadZipFile, struct.error, zlib.error),
)
"""What content of an unexpected form makes Python raise, in our own code too."""


@contextmanager
def understanding(kind: type[VolprocError], line: str) -> Iterator[None]:
    """Raise what malformed content leads to as a `kind`; `line` has a place for the cause, {}."""
    try:
        yield
    except MALFORMED as error:
        if fault_of(error):
            raise
        cause = first_line(error)
        named = cause if isinstance(error, ValueError) else f"{type(error).__name__}: {cause}"
        raise kind(line.replace("{}", named)) from error


def notes_of(error: BaseException) -> list[str]:
    """The notes added to an error, or to those it was raised from."""
    return [note for link, _ in _chain(error) for note in getattr(link, "__notes__", ())]


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without secrets; its type where it has none."""
    text = str(error).strip() or type(error).__name__
    return masked(text.splitlines()[0])


def _chain(error: BaseException) -> Iterator[tuple[BaseException, bool]]:
    """The error, its cause, and so on; whether each was raised from the one before."""
    seen: set[int] = set()
    link: BaseException | None = error
    raised_from = True
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link, raised_from
        reason = getattr(link, "reason", None)  # of urllib's URLError
        cause = link.__cause__ or (reason if isinstance(reason, BaseException) else None)
        raised_from = raised_from and cause is not None
        link = cause or (None if link.__suppress_context__ else link.__context__)


def _of_system(error: BaseException) -> Fault | None:
    if isinstance(error, socket.gaierror):
        return "transient" if error.errno == socket.EAI_AGAIN else "address"
    found = next((fault for kind, fault in _TYPE.items() if isinstance(error, kind)), None)
    if found is None and isinstance(error, OSError) and error.errno is not None:
        return _ERRNO.get(error.errno)
    return found


def _of_library(error: BaseException | None) -> Fault | None:
    if error is None:
        return None
    names = (f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).mro())
    found = next((_CLASS[name] for name in names if name in _CLASS), None)
    if type(error).__module__.partition(".")[0] not in _WITH_STATUS:
        return found
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        code = str(response.get("Error", {}).get("Code", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return found or _CODE.get(code) or _STATUS.get(status or _number(code))
    status = getattr(response, "status_code", None) or getattr(error, "status", None)
    return found or _STATUS.get(_number(status or getattr(error, "code", "")))


def _number(code: Any) -> int:
    return int(code) if str(code).isdigit() else 0

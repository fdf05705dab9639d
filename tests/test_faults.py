"""What errors of the system and of libraries mean: by who can act, with a fitting way out."""

import errno
import json
import socket
import subprocess
import sys
import urllib.error

import aiohttp
import h5py
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from s3fs.errors import translate_boto_error
from yarl import URL

from volproc.errors import LedgerError, ModelError, TransientError, VolprocError, VolumeError
from volproc.faults import WAY_OUT, fault_of, is_bug, is_transient, renamed, understanding
from volproc.volume.access import reading, writing


def answered(code, status=400):
    said = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(said, "GetObject")


def http(status):
    asked = aiohttp.RequestInfo(URL("http://here/a"), "GET", (), URL("http://here/a"))
    return aiohttp.ClientResponseError(asked, (), status=status)


def system(name):
    return OSError(getattr(errno, name), name)


TRANSIENT = [
    *map(system, ("ESTALE", "EIO", "ECONNRESET", "ETIMEDOUT", "EAGAIN", "EBUSY", "EINTR")),
    ConnectionResetError("reset"),
    TimeoutError(),
    answered("SlowDown", 503),
    answered("InternalError", 500),
    answered("RequestTimeout"),
    answered("NewCodeOfSomeStore", 503),
    translate_boto_error(answered("SlowDown", 503)),
    translate_boto_error(answered("IncompleteBody")),
    EndpointConnectionError(endpoint_url="http://here"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ClientPayloadError(),
    http(502),
    http(429),
    urllib.error.HTTPError("http://here", 503, "busy", None, None),
    urllib.error.URLError(ConnectionRefusedError("refused")),
    socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    TransientError("for the moment"),
]
FINAL = [
    (FileNotFoundError("gone"), "missing"),
    (translate_boto_error(answered("NoSuchKey", 404)), "missing"),
    (http(404), "missing"),
    (PermissionError("no"), "permission"),
    (system("EROFS"), "permission"),
    (translate_boto_error(answered("AccessDenied", 403)), "permission"),
    (translate_boto_error(answered("InvalidAccessKeyId", 403)), "credentials"),
    (translate_boto_error(answered("ExpiredToken")), "credentials"),
    (NoCredentialsError(), "credentials"),
    (http(401), "credentials"),
    (system("ENOSPC"), "full"),
    (system("EDQUOT"), "full"),
    (translate_boto_error(answered("QuotaExceeded", 403)), "full"),
    (translate_boto_error(answered("XMinioStorageFull", 507)), "full"),
    (http(507), "full"),
    (MemoryError(), "memory"),
    (ModuleNotFoundError("No module named 'zfpy'"), "package"),
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "address"),
    (ValueError("checksum"), None),
    (IndexError("list index out of range"), None),
    (VolumeError("is unfinished"), None),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_transient(error):
    assert is_transient(error)


@pytest.mark.parametrize(("error", "fault"), FINAL, ids=repr)
def test_final(error, fault):
    assert fault_of(error) == fault


def raised(error, *, cause=None, during=None):
    try:
        if during is None:
            raise error from cause
        try:
            raise during
        finally:
            raise error
    except type(error) as caught:
        return caught


def test_what_an_error_was_raised_from_counts():
    assert is_transient(raised(ModelError("no model"), cause=system("EIO")))
    assert is_transient(raised(ValueError("codec"), cause=raised(KeyError(), cause=system("EIO"))))
    assert fault_of(raised(RuntimeError("wrapped"), cause=PermissionError())) == "permission"


def test_what_was_under_way_counts_where_it_is_transient_only():
    """Else a mistake in an `except FileNotFoundError` would be called a missing file."""
    assert is_transient(raised(RuntimeError("wrapped"), during=system("EIO")))
    assert fault_of(raised(IndexError(), during=FileNotFoundError())) is None


@pytest.mark.parametrize("error", TRANSIENT[:-1], ids=repr)
def test_a_transient_error_is_no_volume_error(error):
    with pytest.raises(TransientError, match="run the same command again") as caught, reading("a"):
        raise error
    assert "cut short" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("error", "fault"), [(e, f) for e, f in FINAL if f], ids=lambda given: repr(given)
)
@pytest.mark.parametrize("border", [reading, writing])
def test_the_way_out_fits_the_cause(border, error, fault):
    with pytest.raises(VolumeError) as caught, border("a.zarr"):
        raise error
    assert str(caught.value).endswith(WAY_OUT[fault])
    assert "cut short" not in str(caught.value)


def test_only_content_is_cut_short():
    said = r"cannot read a: checksum; the file may be cut short"
    with pytest.raises(VolumeError, match=said), reading("a"):
        raise ValueError("checksum")


def test_a_bug_is_not_renamed():
    with pytest.raises(IndexError), reading("a"):
        [][1]
    with pytest.raises(ValueError, match="of another"), writing("a"):
        raise ValueError("of another shape")


def test_the_same_error_inside_a_library_tells_of_content():
    import json

    with pytest.raises(VolumeError, match="cut short"), reading("a"):
        json.loads(None)


def test_a_line_of_ours_is_not_wrapped():
    line = VolprocError("mend it")
    assert renamed("cannot read a", line, VolumeError) is line
    assert not is_bug(line)


def test_nothing_is_imported_to_tell_errors_apart():
    code = "import sys, volproc.faults as f; f.fault_of(OSError(5)); print([*sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not [name for name in ("botocore", "aiohttp", "dask") if f"'{name}'" in found.stdout]


def test_an_error_of_a_compiled_module_is_no_bug(tmp_path):
    """silx-kit/silx#2262: of a damaged file h5py raises a KeyError, from a source not here."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a"] = [1]
    with h5py.File(path) as file, pytest.raises(KeyError) as caught:
        h5py.h5o.open(file.id, b"nothing")
    assert not is_bug(caught.value)
    with pytest.raises(KeyError) as caught:
        {}["a"]
    assert is_bug(caught.value)


@pytest.mark.parametrize("content", ['{"a": 1}', "[]", "{", "[" * 100_000, '{"a": [0]}', '"a"'])
def test_malformed_content_is_one_line(content):
    with pytest.raises(LedgerError) as told, understanding(LedgerError, "f is damaged ({}); redo"):
        json.loads(content)["a"][1]
    assert str(told.value).startswith("f is damaged (")
    assert "\n" not in str(told.value)


def test_what_is_wrong_outside_is_not_taken_for_malformed_content():
    with (
        pytest.raises(ValueError, match="hidden"),
        understanding(LedgerError, "{}"),
    ):
        raise ValueError("hidden") from system("EIO")

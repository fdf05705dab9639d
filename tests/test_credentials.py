"""Secrets of URLs: they open what they should, and are in nothing that is written or said."""

import base64
import json
import os
import sys
from functools import partial
from http.server import ThreadingHTTPServer
from threading import Thread

import fsspec
import pytest
import tifffile
from RangeHTTPServer import RangeRequestHandler

import volproc
from volproc import cli
from volproc.credentials import SECRETS, masked, with_secrets, without_secrets
from volproc.engine.events import Crashed, JsonLines
from volproc.errors import LocationError
from volproc.location import filesystem_of
from volproc.workflow.workflow_file import load_workflow

SECRET = "not-to-be-seen-anywhere"
SIGNED = f"https://host/a.tif?X-Amz-Credential=AKIA&X-Amz-Signature={SECRET}"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No secret of another test; those of this one go with it."""
    monkeypatch.setenv(SECRETS, "{}")


@pytest.mark.parametrize(
    ("url", "public"),
    [
        (SIGNED, "https://host/a.tif"),
        (f"https://host/a.zarr?sv=2024&sig={SECRET}", "https://host/a.zarr"),
        (f"https://host/a.zarr?access_token={SECRET}", "https://host/a.zarr"),
        (f"https://me:{SECRET}@host:8080/a.zarr", "https://me@host:8080/a.zarr"),
        (f"https://me:{SECRET}@host/a?Signature=x", "https://me@host/a"),
        (f"simplecache::https://me:{SECRET}@host/a", "simplecache::https://me@host/a"),
        (f"sftp://me:{SECRET}@host/a.zarr", "sftp://me@host/a.zarr"),
        ("https://host:8080/a@b.zarr", "https://host:8080/a@b.zarr"),
        ("https://host/a.tif?version=3", "https://host/a.tif?version=3"),
        ("s3://bucket/roi?key=1.tif", "s3://bucket/roi?key=1.tif"),
        ("/data/a?token=b", "/data/a?token=b"),
        ("abfs://container@account/a.zarr", "abfs://container@account/a.zarr"),
    ],
)
def test_a_url_goes_on_without_its_secret_and_still_opens(url, public):
    assert without_secrets(url) == public
    assert with_secrets(public) == url
    assert without_secrets(public) == public
    inside = f"{public}/0/zarr.json"
    if "?" not in url:
        assert with_secrets(inside) == f"{url}/0/zarr.json"


def test_a_url_that_is_signed_anew_is_the_same_place():
    first = without_secrets("https://host/a.tif?Signature=1")
    assert without_secrets("https://host/a.tif?Signature=2") == first
    assert with_secrets(first) == "https://host/a.tif?Signature=2"


@pytest.mark.parametrize("key", [f"AKIA:{SECRET}", f"AKIA:with/slash/{SECRET}"])
def test_keys_before_a_bucket_are_refused_unseen(key):
    options = volproc.TrainOptions(model_out=f"s3://{key}@bucket/model")
    assert SECRET not in options.model_out
    for url in (options.model_out, f"s3://{key}@bucket/model"):
        with pytest.raises(LocationError, match=r"s3://AKIA.*@bucket/model has a key") as said:
            filesystem_of(url)
        assert SECRET not in str(said.value)


def test_what_libraries_say_is_masked(tmp_path):
    said = f"403, url='{SIGNED}', me:pw in ftp://me:{SECRET}@host/a and s3://A:b/{SECRET}@c/d"
    assert SECRET not in masked(said)
    assert masked(masked(said)) == masked(said)
    assert masked("ratio 1:2@3, see https://host:80/a@b") == "ratio 1:2@3, see https://host:80/a@b"
    JsonLines(tmp_path / "log.jsonl")(Crashed(said, f'raise Error("{SIGNED}")'))
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert SECRET not in line
    assert json.loads(line)["trace"] == masked(f'raise Error("{SIGNED}")')


class Guarded(RangeRequestHandler):
    """Files, for those who are signed or named."""

    def send_head(self):
        """As it does, if the request has the secret."""
        login = base64.b64encode(f"me:{SECRET}".encode()).decode()
        if SECRET not in self.path and self.headers.get("Authorization") != f"Basic {login}":
            return self.send_error(403)
        return super().send_head()

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def web(tmp_path):
    """The address of a guarded server of the files in `tmp_path`/web."""
    (tmp_path / "web").mkdir()
    handler = partial(Guarded, directory=tmp_path / "web")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def command(monkeypatch, capsys):
    """command("run", "w.toml"): its exit code and all that was said, without any secret."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["volproc", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = "".join(capsys.readouterr())
        assert SECRET not in said
        return end.value.code or 0, said

    return run


WORKFLOW = """
[run]
source = "{source}"
folder = "{folder}"
[cluster]
kind = "serial"
[ingest]
voxel_nm = [50, 50, 50]
[predict]
model = "{model}"
threshold = 0.3
tile = [40, 40, 40]
[label]
min_volume_um3 = 0.001
[evaluate]
ground_truth = "{truth}"
[report]
slices = 1
"""


def test_no_byte_of_a_run_holds_a_secret(web, tmp_path, tiny_model, noise, save_volume, command):
    """A signed image, a truth behind a password: read, and nowhere to be seen."""
    tifffile.imwrite(tmp_path / "web" / "image.tif", noise)
    save_volume("web/truth.zarr", noise > 128, kind="labels", shards=(16, 16, 16))
    folder = "memory://secrets/run"
    given = {
        "source": f"http://{web}/image.tif?X-Amz-Signature={SECRET}",
        "truth": f"http://me:{SECRET}@{web}/truth.zarr",
    }
    file = tmp_path / "workflow.toml"
    file.write_text(WORKFLOW.format(folder=folder, model=tiny_model, **given))
    code, said = command("run", file)
    assert code == 0, said
    for words in (("plan", file), ("status", folder), ("report", folder), ("run", file)):
        code, said = command(*words)
        assert code == 0, said
    again = load_workflow(file)
    os.environ[SECRETS] = "{}"  # the next day, without them
    code, said = command("status", folder)
    assert (code, "403" in said) == (0, True), said
    filesystem = fsspec.filesystem("memory")
    written = {name: filesystem.cat_file(name) for name in filesystem.find("/secrets")}
    assert any(b"image.tif" in content for content in written.values())
    assert [name for name, content in written.items() if SECRET.encode() in content] == []
    assert SECRET not in again.model_dump_json()

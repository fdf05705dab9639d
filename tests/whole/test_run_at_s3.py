"""A whole run in a bucket: its image, its model, its folder, and the record of what is done.

Whatever happens to it or to its server, it ends as a run in a folder of this machine.
"""

import json
import re
import signal
import subprocess
import sys
from functools import partial

import fsspec
import pytest
from tests.whole.s3_server import SECRET, Gate, content, tell

import volproc
from volproc import ClusterOptions, PhantomOptions, retry
from volproc.engine.events import BlockDone, Note, StepStarted
from volproc.errors import VolprocError
from volproc.workflow.workflow_file import Workflow

SERIAL = ClusterOptions(kind="serial")
RECORDS = re.compile(r"^/(ledger|log|workflow\.json|report\.(html|json)|.*\.volproc/)")
"""They tell of times, of the way there, and of the place."""
DIE = """
import os, signal, sys
import volproc
from volproc.engine import records
from volproc.engine.events import BlockDone
from volproc.workflow.workflow_file import Workflow

records.PATIENCE_S = 0.0

def die(event):
    if isinstance(event, BlockDone) and event.step == sys.argv[2] and event.done == 1 < event.total:
        os.kill(os.getpid(), signal.SIGKILL)

volproc.run(Workflow.model_validate_json(sys.argv[1]), watchers=(die,), progress=False)
"""


def begun(place, model):
    """A place with an image and a model; a workflow that reads and writes only there."""
    image = f"{place}/image.zarr"
    volproc.phantom(image, PhantomOptions(shape=(24, 130, 140)), cluster=SERIAL)
    filesystem, root = fsspec.core.url_to_fs(place)
    filesystem.put(f"{model}/", f"{root}/model/", recursive=True)
    return Workflow.model_validate(
        {
            "run": {"source": image, "folder": f"{place}/run"},
            "cluster": {"kind": "serial"},
            "predict": {"model": f"{place}/model", "tile": [8, 16, 16], "block": [8, 16, 16]},
            "label": {"min_volume_um3": 0.0, "threshold": 0.4},
            "report": {"slices": 1},
        }
    )


def results(place):
    """What a run made, its place left out where it is named."""
    found = content(f"{place}/run")
    plain = {name: bytes_.replace(place.encode(), b"HERE") for name, bytes_ in found.items()}
    return {name: bytes_ for name, bytes_ in plain.items() if not RECORDS.match(name)}


def run(workflow, *watchers):
    """Run it; the notes, and the blocks that were recorded before, by step."""
    events = []
    volproc.run(workflow, watchers=(events.append, *watchers), progress=False)
    notes = [event.text for event in events if isinstance(event, Note)]
    return notes, {event.step: event.done for event in events if isinstance(event, StepStarted)}


def at(step, do):
    """A watcher that does something when the next block of a step is done."""

    def watch(event):
        if isinstance(event, BlockDone) and event.step == step:
            do()

    return watch


@pytest.fixture
def gate(server, s3, monkeypatch):
    """The way to the server. Nobody waits for long: pauses are volproc's own, and take no time."""
    s3fs = pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    gate = Gate(server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", gate.url)
    others = s3fs.S3FileSystem._cache  # they know the way past the gate
    monkeypatch.setattr(s3fs.S3FileSystem, "_cache", {})
    yield gate
    for one in s3fs.S3FileSystem._cache.values():
        others[one] = one  # kept: its connections are closed with the process
    gate.close()


@pytest.fixture
def refused():
    """refused(workflow, words, watcher): a run that ends with one line, with these words."""

    def check(workflow, words, *watchers):
        with pytest.raises(VolprocError, match=words) as said:
            run(workflow, *watchers)
        assert "\n" not in str(said.value)
        assert SECRET not in str(said.value)

    return check


def test_whatever_happens_it_ends_as_in_a_folder(
    s3, server, gate, refused, tiny_model, tmp_path, monkeypatch
):
    """Refused, killed, full, without its server: each time the same command, and at last done."""
    workflow = begun(s3, tiny_model)
    predicted = partial(at, "predict")

    tell(server, "reset-auth", "0")  # from now on no key is the right one
    refused(workflow, r"s3://cells/.*credentials in the environment")
    tell(server, "reset-auth", "inf")

    died = subprocess.run(
        [sys.executable, "-c", DIE, workflow.model_dump_json(), "predict"],
        capture_output=True,
        text=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert {one.name: one.state for one in volproc.status(f"{s3}/run")}["predict"] == "begun"

    refused(workflow, r"quota is used up.*free some space", predicted(gate.fill))
    assert 0 < gate.refused < 20  # it is not asked again and again
    gate.full = False

    refused(workflow, r"s3://cells/.*run the same command again", predicted(gate.close))
    gate.open()

    async def open_async(seconds):
        gate.open()

    monkeypatch.setattr(retry, "sleep", lambda seconds: gate.open())
    monkeypatch.setattr(retry, "sleep_async", open_async)
    closed = []
    _, recorded = run(workflow, predicted(lambda: closed.append(gate.close())))
    assert len(closed) > 0 < recorded["predict"]

    run(begun(str(tmp_path), tiny_model))
    assert results(s3) == results(str(tmp_path))
    (note,), steps = run(workflow)
    assert (note.partition(":")[0], steps) == ("nothing to do", {})
    lines = b"".join(content(f"{s3}/run/log").values()).splitlines()
    names = [one["step"] for one in map(json.loads, lines) if one["event"] == "StepStarted"]
    assert names.count("predict") == 4
    assert b"in 4 runs" in content(f"{s3}/run")["/report.html"]
    assert SECRET.encode() not in b"".join(content(s3).values())

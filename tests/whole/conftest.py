"""Whole workflows on a small phantom, run as commands of their own that tests may kill."""

import json
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import fsspec
import psutil
import pytest
import tifffile
from tests.whole.s3_server import SECRET, tell

from volproc import PhantomOptions, cli
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.stages.phantom.stage import plan_phantom, run_phantom
from volproc.volume.store import open_volume

SMALL = Path(__file__).with_name("small.py")
PATIENCE_S = 240
"""No test passes or fails by the clock; this only ends one that hangs."""

VOLUMES = ("image.zarr", "prediction.zarr", "votes.zarr", "objects.zarr")
RESULTS = (*VOLUMES, "objects.csv", "scores.json")


@pytest.fixture
def volproc(monkeypatch, capsys):
    """volproc("run", "w.toml"): the exit code and what was said to stderr."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["volproc", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().err

    return command


@pytest.fixture
def refused(volproc):
    """refused(words, ..., by=("run", "w.toml")): exactly one line, with all these words in it."""

    def check(*words, by):
        code, said = volproc(*by)
        lines = [line for line in said.splitlines() if line.strip()]
        assert code == 2, said
        assert [line for line in lines if line.startswith("volproc: ")] == lines[-1:]
        assert "Traceback" not in said
        for word in words:
            assert str(word) in lines[-1], lines[-1]
        return lines

    return check


@pytest.fixture
def in_folder(monkeypatch, tmp_path, volproc):
    """The same in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return volproc


@dataclass(frozen=True)
class Scene:
    """A phantom of 16 x 300 x 300 voxels of 50 x 20 x 20 nm, its truth, and the same as TIFF."""

    image: Path
    truth: Path
    tiff: Path
    voxel_nm: tuple[float, float, float] = (50.0, 20.0, 20.0)


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    url = folder / "phantom.zarr"
    options = PhantomOptions(shape=(16, 300, 300), voxel_nm=Scene.voxel_nm, seed=4)
    run_phantom(plan_phantom(str(url), options), Runner(SerialEngine(), folder / "ledger"))
    volume = open_volume(url)
    tifffile.imwrite(folder / "phantom.tif", volume.read(volume.info.box))
    return Scene(url, url / "labels" / "nuclei", folder / "phantom.tif")


@dataclass
class Place:
    """A folder with a workflow.toml; commands run inside it, so that no result holds its name."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def log(self) -> Path:
        return self.run / "log.jsonl"

    def events(self, kind=""):
        return events_of(self.log, kind)

    def blocks_done(self):
        """Blocks written by step, all runs in this folder together."""
        found = {}
        for event in self.events("BlockDone"):
            found[event["step"]] = found.get(event["step"], 0) + 1
        return found


def events_of(log, kind=""):
    if not log.exists():
        return []
    lines = log.read_text().splitlines(keepends=True)
    whole = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event for event in whole if kind in ("", event["event"])]


@pytest.fixture(scope="session")
def place(tmp_path_factory, scene, tiny_model):
    """place("name", source=..., kind=...): a workflow of 9 to 25 blocks a step."""

    def make(name, *, source=None, kind="serial", more="", model=tiny_model):
        here = Place(tmp_path_factory.mktemp(name))
        (here.folder / "workflow.toml").write_text(
            f"""
            [run]
            source = "{source or scene.tiff}"
            folder = "run"
            [cluster]
            kind = "{kind}"
            workers = 2
            [ingest]
            voxel_nm = {list(scene.voxel_nm)}
            [predict]
            model = "{model}"
            tile = [16, 40, 40]
            block = [16, 40, 40]
            [label]
            block = [16, 24, 60]
            min_volume_um3 = 0.001
            [evaluate]
            ground_truth = "{scene.truth}"
            [report]
            slices = 1
            {more}
            """
        )
        return here

    return make


@dataclass
class Command:
    """A volproc command in a process of its own."""

    process: multiprocessing.process.BaseProcess
    messages: Path

    def wait(self):
        """Its exit code."""
        self.process.join(PATIENCE_S)
        assert not self.process.is_alive(), f"still running; {self.messages.read_text()}"
        return self.process.exitcode

    def until(self, happened):
        """Wait until `happened()`, or until it has ended; whether it is still running."""
        end = time.monotonic() + PATIENCE_S
        while self.process.is_alive() and not happened():
            assert time.monotonic() < end, f"nothing happens; {self.messages.read_text()}"
            time.sleep(0.002)
        return self.process.is_alive()

    def workers(self):
        """The Dask workers it has by now."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in found if "spawn_main" in " ".join(child.cmdline())]

    def kill(self):
        """SIGKILL, and nothing survives it: no process that it started is left."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        os.kill(self.process.pid, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
        assert not alive


@pytest.fixture(scope="session")
def begin():
    """begin(folder, "run", "workflow.toml"): a command at work inside `folder`.

    It comes from a server of processes that have imported volproc already.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["volproc.workflow.work", "volproc.cli"])

    def command(folder, *arguments, die_before_write=0, gpus=0):
        given = {
            "FOLDER": str(folder),
            "ARGUMENTS": [str(a) for a in arguments],
            "DIE_BEFORE_WRITE": die_before_write,
            "GPUS": gpus,
        }
        process = context.Process(target=runpy.run_path, args=(str(SMALL), given, "__main__"))
        process.start()
        return Command(process, folder / "messages.txt")

    return command


@pytest.fixture
def start(begin):
    """The same; it does not outlive the test."""
    started = []

    def command(*arguments, **options):
        started.append(begin(*arguments, **options))
        return started[-1]

    yield command
    for one in started:
        one.process.kill()
        one.process.join()


@pytest.fixture(scope="session")
def undisturbed(place, begin):
    """The folder of a run that nothing happened to."""
    here = place("undisturbed")
    command = begin(here.folder, "run", "workflow.toml", "--quiet")
    assert command.wait() == 0, command.messages.read_text()
    return here


def files_of(folder):
    """Name and content of every file below a folder."""
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.is_file()}


@pytest.fixture(scope="session")
def same_results():
    """Fails unless two folders hold the same results, byte by byte.

    Left out are the ledger, log.jsonl and the report, which tell of times and the way there.
    """

    def compare(one, other, names=RESULTS):
        for name in names:
            wanted, found = files_of(one / name), files_of(other / name)
            assert wanted, f"{name} is missing"
            assert found.keys() == wanted.keys()
            assert [f for f in wanted if wanted[f] != found[f]] == []

    return compare


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of an S3 server of our own."""
    for module, what in (("s3fs", "the extra s3"), ("moto", "moto[server]")):
        if not find_spec(module):
            pytest.skip(f"{module} is not installed: pip install {what}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("s3") / "log").open("w")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def _wait_for(port, process):
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    process.kill()
    pytest.fail("the S3 server did not start")


@pytest.fixture
def s3(server, monkeypatch, tmp_path):
    """The URL of an empty bucket, reached by what the environment says."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    tell(server, "reset")
    filesystem = fsspec.filesystem("s3")
    filesystem.invalidate_cache()
    filesystem.mkdir("cells")
    return "s3://cells"

"""Dask workers that fail, die, run on other versions or cannot load a task: one clear outcome."""

import errno
import os
import pickle
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import dask
import distributed
import pytest
from distributed import Client, LocalCluster

from volproc.engine import wire
from volproc.engine.clusters.local import SETTINGS, local_engine
from volproc.engine.distributed import DaskEngine
from volproc.engine.flight import Flight
from volproc.engine.protocol import BLOCK_PAUSES_S, Outcome, Step
from volproc.engine.run import Runner
from volproc.engine.workers import ClusterWorkers
from volproc.errors import BlocksFailedError, MemoryLimitError, TransientError, VolprocError
from volproc.grid.blocks import Tiling

pytestmark = pytest.mark.dask
BLOCKS = Tiling(shape=(1, 1, 8), core=(1, 1, 1))


def outcomes(engine, task, blocks=BLOCKS):
    """What becomes of the blocks, without what the engine waits for meanwhile."""
    said = engine.map(Step("test", task, blocks, "d"), blocks)
    return (one for one in said if isinstance(one, Outcome))


def cluster_of(workers, **more):
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    return LocalCluster(n_workers=workers, threads_per_worker=1, **quiet, **more)


@pytest.fixture(scope="module")
def cluster():
    with cluster_of(2) as cluster:
        yield cluster


@pytest.fixture
def engine(cluster):
    """An engine on two workers that are there for all tests; their pauses are short."""
    engine = DaskEngine(ClusterWorkers(cluster), worker_bytes=10**9)
    engine.client.run(without_pauses)
    yield engine
    engine.client.close()


def without_pauses():
    from volproc import retry

    retry.sleep = lambda seconds: None


@dataclass(frozen=True)
class Here:
    """Tells who did the block."""

    def load(self, block):
        return None

    def compute(self, block, loaded):
        return os.getpid()

    def store(self, block, result):
        return result


@dataclass(frozen=True)
class BadDisk(Here):
    """Fails for the moment on the worker of a process id, or on all."""

    folder: Path
    pid: int = 0

    def load(self, block):
        with (self.folder / f"{block.index}").open("a") as file:
            file.write(f"{os.getpid()}\n")
        if self.pid in (0, os.getpid()):
            raise OSError(errno.ESTALE, "Stale file handle")


class NotHere(Here):
    """Cannot be loaded in any other process."""

    def __getstate__(self):
        return {"pid": os.getpid()}

    def __setstate__(self, state):
        if state["pid"] != os.getpid():
            raise ModuleNotFoundError("No module named 'onnxruntime'")


class Deadly(Here):
    def load(self, block):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class LosesItsDevice(Here):
    """Breaks the CUDA context of the first process that comes here: all its later blocks fail."""

    folder: Path

    def compute(self, block, loaded):
        first = self.folder / "first"
        if not first.exists():
            first.write_text(str(os.getpid()))
        if first.read_text() == str(os.getpid()):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return os.getpid()


def test_a_worker_whose_device_is_lost_is_restarted_and_no_block_fails(tmp_path):
    with cluster_of(1) as cluster:
        engine = DaskEngine(ClusterWorkers(cluster), worker_bytes=10**9)
        found = list(outcomes(engine, LosesItsDevice(tmp_path)))
        engine.client.close()
    assert [one.failure for one in found] == [None] * len(BLOCKS)
    assert (tmp_path / "first").read_text() not in {str(one.record) for one in found}


@pytest.mark.parametrize(
    ("failure", "lost"),
    [
        ("RuntimeError: CUDA error: device-side assert triggered", True),
        ("net.pt does not take (1, 3): CUDA error: unspecified launch failure", True),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 20 MiB", False),
        ("CUDA error: out of memory", False),
        (None, False),
    ],
)
def test_only_a_broken_context_is_a_lost_device(failure, lost):
    assert wire.lost_device(Outcome(next(iter(BLOCKS)), failure=failure)) == lost


def pids(engine):
    return set(engine.client.run(os.getpid).values())


def test_outcomes_carry_host_and_process(engine):
    found = list(outcomes(engine, Here()))
    assert {outcome.worker for outcome in found} <= pids(engine)
    assert {outcome.host for outcome in found} == {socket.gethostname()}


def test_a_block_that_one_workers_disk_fails_is_done_by_another(engine, tmp_path):
    bad = min(pids(engine))
    found = list(outcomes(engine, BadDisk(tmp_path, bad)))
    assert sorted(outcome.block.index for outcome in found) == list(range(8))
    assert {outcome.record for outcome in found} == pids(engine) - {bad}
    tries = [(tmp_path / str(n)).read_text().split() for n in range(8)]
    assert any(str(bad) in one for one in tries)
    assert all(one.count(str(bad)) in (0, len(BLOCK_PAUSES_S) + 1) for one in tries)


def test_a_disk_that_fails_everywhere_fails_the_block_for_now(engine, tmp_path):
    step = Step("read", BadDisk(tmp_path), BLOCKS[:1], "d")
    with pytest.raises(
        BlocksFailedError,
        match=r"Stale file handle.* \(block tried 3 times, with pauses of .* s in all\) on two "
        r"workers.*the finished blocks are kept, run the same command again$",
    ) as caught:
        Runner(engine, tmp_path / "ledger").run(step)
    assert caught.value.exit_code == 1
    tries = (tmp_path / "0").read_text().split()
    assert len(tries) == 6
    assert set(map(int, tries)) == pids(engine)


def test_a_task_that_no_worker_can_load_names_module_worker_and_versions(engine):
    found = list(outcomes(engine, NotHere(), BLOCKS[:2]))
    assert [outcome.blame for outcome in found] == ["user", "user"]
    for outcome in found:
        assert "No module named 'onnxruntime'; install the package" in outcome.failure
        assert f"on {socket.gethostname()} (Python 3" in outcome.failure
        assert "numpy" in outcome.failure


def other_versions(numpy):
    wire.versions()["numpy"] = numpy


@pytest.fixture
def of_other_versions(engine):
    """Makes workers believe in another numpy."""
    real = wire.versions()["numpy"]

    def make(workers):
        engine.client.run(other_versions, "1.0", workers=workers)

    yield make
    engine.client.run(other_versions, real)


def test_a_worker_on_other_versions_is_named_and_left_out(engine, of_other_versions, caplog):
    first, second = engine.client.run(os.getpid)
    of_other_versions([first])
    found = list(outcomes(engine, Here()))
    assert {outcome.record for outcome in found} == {engine.client.run(os.getpid)[second]}
    said = [record.getMessage() for record in caplog.records if record.name == "volproc"]
    assert said == [
        f"the worker at {first} is left out: it has numpy 1.0 (here {wire.versions()['numpy']}); "
        "install the same versions there"
    ]


def test_where_none_is_left_the_run_ends_with_one_line(engine, of_other_versions):
    of_other_versions(None)
    with pytest.raises(VolprocError, match=r"no worker is left .* numpy 1\.0 \(here"):
        list(outcomes(engine, Here()))


def test_a_worker_without_volproc_is_named_and_left_out(engine, monkeypatch, caplog):
    first, second = engine.client.run(os.getpid)
    alone = engine.client.run(os.getpid)[second]
    monkeypatch.setattr(wire, "block_call", no_volproc_but_on(alone, wire.block_call))
    monkeypatch.setattr(wire, "versions_call", lambda: no_volproc_but_on(alone, wire.packed)(None))
    monkeypatch.setattr(wire, "other_versions", lambda here, there: "")
    assert {outcome.record for outcome in outcomes(engine, Here())} == {alone}
    assert f"{first} is left out: it has No module named 'volproc'" in caplog.text


class NoVolproc:
    """Pickles as what a process but one fails to load, as one without volproc would."""

    def __init__(self, pid, content):
        self.pid, self.content = pid, content

    def __reduce__(self):
        code = (
            f"__import__('pickle').loads({self.content!r}) if __import__('os').getpid() == "
            f"{self.pid} else (_ for _ in ()).throw("
            "ModuleNotFoundError(\"No module named 'volproc'\"))"
        )
        return eval, (code,)


def no_volproc_but_on(pid, call):
    return lambda *given: pickle.dumps(NoVolproc(pid, call(*given)))


def test_a_block_that_kills_its_workers_says_so():
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}):
        cluster = cluster_of(1)
    with DaskEngine(ClusterWorkers(cluster), worker_bytes=10**9) as engine:
        (outcome,) = outcomes(engine, Deadly(), BLOCKS[:1])
    assert outcome.blame == "worker"
    assert "its worker died 2 times, last tcp://127.0.0.1:" in outcome.failure


class Slow(Here):
    """Is at work, but for the first block, until its worker is gone."""

    def load(self, block):
        time.sleep(600 * bool(block.index))


@pytest.mark.parametrize("lost", [{3}, set(range(8))])
def test_a_reply_that_is_lost_is_fetched(engine, monkeypatch, lost):
    """Workers publish their replies; Dask has each of them as the result of its task as well."""
    hear = Flight._hear

    def hear_some(self, event):
        _, key, _ = event[1]
        if int(key.split("-")[1]) not in lost:
            hear(self, event)

    monkeypatch.setattr(Flight, "_hear", hear_some)
    found = [outcome.block.index for outcome in outcomes(engine, Here())]
    assert sorted(found) == list(range(8))


def test_the_scheduler_keeps_no_block_that_is_done():
    """Messages of a connection, transitions and events are kept up to a bound, not per block."""
    blocks = Tiling((1, 1, 400), (1, 1, 1))
    with local_engine(workers=1) as engine:
        assert len(list(outcomes(engine, Here(), blocks))) == 400
        scheduler = engine.workers.cluster.scheduler
        (comm,) = scheduler.stream_comms.values()
        bound = SETTINGS["distributed.admin.low-level-log-length"]
        kept = {
            "messages to the worker": comm.recent_message_log,
            "transitions": scheduler.transition_log,
            **{topic: scheduler.get_events(topic) for topic in scheduler.get_events()},
        }
        assert {name: len(some) for name, some in kept.items() if len(some) > bound} == {}
        assert len(kept["messages to the worker"]) == bound  # more than so many were sent


def test_a_scheduler_that_drops_the_blocks_is_said_to_be_gone(engine):
    coming = outcomes(engine, Slow())
    next(coming)
    engine.client.restart(wait_for_workers=False)  # a busy machine takes minutes for it
    with pytest.raises(TransientError, match=r"scheduler at tcp://.* is gone"):
        list(coming)


def test_the_memory_limit_is_asked_of_the_smallest_worker(tmp_path):
    with DaskEngine(
        ClusterWorkers(cluster_of(1, memory_limit="700MB")), worker_bytes=4 * 10**9
    ) as engine:
        assert engine.worker_bytes == 700_000_000
        step = Step("big", Here(), BLOCKS, "d", peak_bytes=3 * 10**9)
        with pytest.raises(MemoryLimitError, match=r"needs 3\.63 GB .* a worker has 700 MB"):
            Runner(engine, tmp_path / "ledger").run(step)


def test_the_users_client_and_settings_are_left_as_they_were(cluster):
    names = [name for name in SETTINGS if "environ" not in name]
    with Client(cluster) as mine:
        before = {name: dask.config.get(name, None) for name in names}
        with local_engine(workers=1) as engine:
            assert distributed.default_client() is mine
            assert len(list(outcomes(engine, Here(), BLOCKS[:1]))) == 1
        assert distributed.default_client() is mine
        assert {name: dask.config.get(name, None) for name in names} == before

"""Workers that come late, lack something or take too long: steps go on with those that can."""

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from distributed import LocalCluster

from volproc import lease
from volproc.config.devices import planned_for
from volproc.engine import flight
from volproc.engine.distributed import DaskEngine
from volproc.engine.events import Advanced
from volproc.engine.protocol import Outcome, Step, Waiting
from volproc.engine.reporting import report
from volproc.engine.workers import ClusterWorkers
from volproc.errors import VolprocError
from volproc.grid.blocks import Tiling

pytestmark = pytest.mark.dask
BLOCKS = Tiling(shape=(1, 1, 24), core=(1, 1, 1))


@dataclass(frozen=True)
class Where:
    """Tells which process did the block, in which folder."""

    def load(self, block):
        time.sleep(0.05)

    def compute(self, block, loaded):
        return os.getpid(), os.getcwd()

    def store(self, block, result):
        return result


@dataclass(frozen=True)
class StuckOnce:
    """The last block hangs the first time that it is tried, until `folder`/go is there."""

    folder: Path

    def load(self, block):
        stuck = self.folder / "stuck"
        if block.index < len(BLOCKS) - 1 or stuck.exists():
            return
        stuck.touch()
        while not (self.folder / "go").exists():
            time.sleep(0.05)

    def compute(self, block, loaded):
        return None

    def store(self, block, result):
        return None


@pytest.fixture(scope="module")
def cluster():
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with LocalCluster(n_workers=2, threads_per_worker=1, **quiet) as cluster:
        yield cluster


@pytest.fixture
def engine(cluster):
    engine = DaskEngine(ClusterWorkers(cluster), worker_bytes=10**9)
    yield engine
    engine.client.close()


@dataclass(frozen=True)
class Long:
    """Says how far it is."""

    def load(self, block):
        for n in range(1, 4):
            report(n, 3, f"loss {n}")

    def compute(self, block, loaded):
        return None

    def store(self, block, result):
        return None


def step(task, *, name="test", **more):
    return Step(name, task, BLOCKS, "d", **more)


def done(engine, step):
    return [one for one in engine.map(step, step.blocks) if isinstance(one, Outcome)]


@contextmanager
def without_workers(cluster):
    cluster.scale(0)
    cluster.sync(cluster._correct_state)
    yield
    cluster.scale(2)
    with ClusterWorkers(cluster).client as client:
        client.wait_for_workers(2)


def test_workers_that_come_after_the_start_get_their_share(cluster, engine):
    with without_workers(cluster):
        outcomes = engine.map(step(Where()), BLOCKS)
        first = next(outcomes)
        assert isinstance(first, Waiting)
        assert "no worker has connected to tcp://127.0.0.1" in first.why
        cluster.scale(2)
        records = [one.record for one in outcomes if isinstance(one, Outcome)]
    assert len(records) == len(BLOCKS)
    assert len({pid for pid, _ in records}) == 2


def test_a_step_without_blocks_waits_for_no_worker(cluster, engine):
    with without_workers(cluster):
        assert list(engine.map(step(Where()), ())) == []


def test_at_the_end_a_block_that_hangs_is_done_by_another_worker(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(flight, "STRAGGLER_S", 0.5)
    try:
        outcomes = done(engine, step(StuckOnce(tmp_path)))
    finally:
        (tmp_path / "go").touch()
    assert sorted(one.block.index for one in outcomes) == list(range(len(BLOCKS)))
    assert not any(one.failure for one in outcomes)


def test_relative_paths_are_seen_from_the_clients_folder(engine, tmp_path, monkeypatch):
    engine.client.run(os.chdir, "/")
    monkeypatch.chdir(tmp_path)
    assert {folder for _, folder in (one.record for one in done(engine, step(Where())))} == {
        str(tmp_path)
    }


def test_blocks_are_named_after_their_step(engine):
    done(engine, step(Where(), name="pyramid of votes, level 1"))
    prefixes = engine.client.run_on_scheduler(
        lambda dask_scheduler: list(dask_scheduler.task_prefixes)
    )
    assert "pyramid_of_votes_level_1" in prefixes


def test_workers_that_do_not_see_the_output_are_left_out(engine):
    """Memory is not shared between processes, as a disk is not between machines."""
    engine.client.run(_see_within, 0.0)
    with (
        lease.holding("memory://out.zarr.volproc"),
        pytest.raises(
            VolprocError, match=r"no worker is left .* does not see memory://out.* share"
        ),
    ):
        done(engine, step(Where()))


def _see_within(seconds):
    lease.SEEN_WITHIN_S = seconds


def test_workers_without_a_gpu_are_left_out_of_steps_that_need_one(engine):
    with planned_for(True), pytest.raises(VolprocError, match=r"sees no GPU.*\[cluster\.gpu\]"):
        done(engine, step(Where(), on_gpu=True))
    assert len(done(engine, step(Where()))) == len(BLOCKS)


def test_workers_with_too_little_memory_are_left_out(engine):
    with pytest.raises(VolprocError, match=r"no worker .* of memory, the step needs 9e\+03 TB"):
        done(engine, step(Where(), peak_bytes=9 * 10**15))


def test_a_block_says_how_far_it_is_from_wherever_it_is_done(any_runner):
    said = []
    one = Step("train", Long(), BLOCKS[:1], "d")
    replace(any_runner, watchers=(said.append,)).run(one)
    told = [(e.done, e.total, e.said) for e in said if isinstance(e, Advanced)]
    assert told == [(n, 3, f"loss {n}") for n in (1, 2, 3)]

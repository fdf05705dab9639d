import os
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from volproc import ClusterOptions
from volproc.engine.clusters import engine_of
from volproc.engine.clusters import local_pools as pools_file
from volproc.engine.clusters.local_pools import LocalPool, LocalPools
from volproc.engine.clusters.pools import GPU_THREADS
from volproc.engine.machine import machine_bytes, machine_cores, visible_gpus
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import MemoryLimitError
from volproc.grid.blocks import Block, Tiling


@dataclass(frozen=True)
class Who:
    """Tells who did the block, and which GPUs it saw."""

    def load(self, block: Block) -> None:
        time.sleep(0.05)

    def compute(self, block: Block, loaded: None) -> tuple[int, str | None]:
        return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")

    def store(self, block: Block, result: tuple[int, str | None]) -> tuple[int, str | None]:
        return result


def step(name="who", *, on_gpu=False, **more) -> Step:
    return Step(name, Who(), Tiling(shape=(1, 1, 12), core=(1, 1, 1)), "d", on_gpu=on_gpu, **more)


def never() -> tuple[str, ...]:
    raise AssertionError("nobody wanted to know")


counts = st.integers(0, 5)
options = st.builds(ClusterOptions, workers=counts, gpu_workers=counts, threads=counts)


@given(options=options)
def test_a_step_without_a_gpu_has_a_worker_per_core_and_asks_for_no_gpus(options):
    pool = LocalPools(options, gpus=never).pool_for(step())
    assert pool.workers == (options.workers or machine_cores())
    assert pool.threads == (options.threads or 1)
    assert pool.gpus == ()


@given(options=options, gpus=st.integers(1, 4))
def test_a_step_on_gpus_has_a_worker_for_each_unless_the_options_say_otherwise(options, gpus):
    names = tuple("0123"[:gpus])
    pool = LocalPools(options, gpus=lambda: names).pool_for(step(on_gpu=True))
    assert pool.gpus == names
    assert pool.threads == (options.threads or GPU_THREADS)
    if options.gpu_workers:
        assert pool.workers == options.gpu_workers
    elif options.workers:
        assert pool.workers == min(gpus, options.workers)
    else:
        assert pool.workers == gpus


@given(options=options, on_gpu=st.booleans(), gpus=st.integers(1, 4))
def test_the_workers_of_a_pool_share_the_machine(options, on_gpu, gpus):
    pool = LocalPools(options, gpus=lambda: ("0",) * gpus).pool_for(step(on_gpu=on_gpu))
    assert pool.workers * pool.worker_bytes <= 0.9 * machine_bytes()
    own = LocalPools(
        options.model_copy(update={"worker_memory_gb": 2.5}), gpus=lambda: ("0",) * gpus
    )
    assert own.pool_for(step(on_gpu=on_gpu)).worker_bytes == 2_500_000_000


def test_a_pool_does_what_another_would_unless_it_lacks_the_gpus():
    with_gpus = LocalPool(4, 100, 2, ("0", "1"))
    without = LocalPool(4, 100, 2)
    assert with_gpus.can_do(without)
    assert with_gpus.can_do(with_gpus)
    assert not without.can_do(with_gpus)
    assert not with_gpus.can_do(LocalPool(4, 100, 2, ("0",)))
    assert not with_gpus.can_do(LocalPool(1, 100, 2))


@pytest.mark.parametrize(
    ("visible", "found", "names"),
    [
        (None, 2, ("0", "1")),
        ("", 1, ("0",)),
        ("3, 1", 2, ("3", "1")),
        ("GPU-4f,GPU-5a", 2, ("GPU-4f", "GPU-5a")),
        ("2,-1,3", 1, ("2",)),
        ("-1", 0, ()),
        (None, 0, ()),
    ],
)
def test_gpus_are_called_what_the_environment_calls_them(monkeypatch, visible, found, names):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    assert visible_gpus() == names


def test_nothing_is_started_for_a_step_that_is_recorded(tmp_path, monkeypatch):
    whole = step()
    with engine_of(ClusterOptions(kind="serial")) as engine:
        records = Runner(engine, tmp_path).run(whole)
    monkeypatch.setattr(pools_file, "local_engine", never)
    with engine_of(ClusterOptions()) as engine:
        assert Runner(engine, tmp_path).run(whole) == records


def test_nothing_is_started_for_a_step_that_cannot_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(pools_file, "local_engine", never)
    pools = LocalPools(ClusterOptions(worker_memory_gb=8), gpus=lambda: ("0",))
    fits_alone = step(on_gpu=True, peak_bytes=2 * 10**9)
    with pytest.raises(MemoryLimitError, match=r"4 blocks of who need 12\.3 GB .* has 8 GB"):
        Runner(pools.usual, tmp_path).run(fits_alone)


@pytest.mark.dask
def test_each_worker_sees_one_gpu_and_neighbours_share_their_workers(tmp_path):
    """Two steps on the cores, two on GPUs: two pools, the first gone before the second."""
    pools = LocalPools(ClusterOptions(workers=2, worker_memory_gb=5), gpus=lambda: ("5", "GPU-7"))
    runner = Runner(pools.usual, tmp_path)
    seen = []
    with closing(pools):
        for n, on_gpu in enumerate((False, False, True, True)):
            records = runner.run(step(f"step {n}", on_gpu=on_gpu))
            seen.append({tuple(record) for record in records})
            pids = {pid for pid, _ in seen[-1]}
            earlier = {pid for before in seen for pid, _ in before} - pids
            assert not any(Path(f"/proc/{pid}").exists() for pid in earlier)
    one, two, three, four = seen
    assert one == two
    assert three == four
    assert sorted(gpu for _, gpu in three) == ["5", "GPU-7"]
    assert {gpu for _, gpu in one} == {os.environ.get("CUDA_VISIBLE_DEVICES")}
    assert len({pid for pid, _ in one | three}) == 4
    assert not any(Path(f"/proc/{pid}").exists() for pid, _ in three)

from dataclasses import dataclass, field

import pytest

from volproc.engine.clusters import pools as pools_file
from volproc.engine.clusters.pools import LookAhead, Pools, WorkerPool
from volproc.engine.events import BlockDone, StepStarted
from volproc.engine.protocol import Step
from volproc.grid.blocks import Tiling

CPU, GPU = WorkerPool(1, 10**9), WorkerPool(4, 10**10)


@dataclass
class Started:
    """What is started for a pool."""

    log: list
    name: str

    def close(self):
        self.log.append(f"-{self.name}")


class Logged(Pools):
    """Tells when a pool is started and closed."""

    ask_ahead_s = 10.0

    def __init__(self):
        super().__init__()
        self.log = []

    def pool_for(self, step):
        return GPU if step and step.on_gpu else CPU

    def start(self, pool):
        name = "gpu" if pool == GPU else "cpu"
        self.log.append(f"+{name}")
        return Started(self.log, name)


@dataclass
class Clock:
    now: float = 0.0
    monotonic: object = field(init=False)

    def __post_init__(self):
        self.monotonic = lambda: self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pools_file, "time", clock)
    return clock


def step(name, *, on_gpu=False):
    return Step(name, None, Tiling((1, 1, 10), (1, 1, 1)), "d", on_gpu=on_gpu)


STEPS = (step("ingest"), step("predict", on_gpu=True), step("label"))


def block(name, done):
    return BlockDone(name, done, done, 10, 1, 1, 1)


def test_a_pool_is_asked_for_when_the_step_before_it_is_soon_done(clock):
    """Ten blocks of 3 s each: after the seventh 9 s are left, less than the 10 s to ask ahead."""
    pools = Logged()
    follow = LookAhead(pools, STEPS)
    pools.started(CPU)
    follow(StepStarted("ingest", 0, 10))
    asked = []
    for n in range(1, 11):
        clock.now += 3
        follow(block("ingest", n))
        asked.append("+gpu" in pools.log)
    assert asked == [False] * 6 + [True] * 4


def test_pools_go_after_their_last_step_and_stay_until_then():
    pools = Logged()
    follow = LookAhead(pools, STEPS)
    pools.started(CPU)
    follow(StepStarted("predict", 0, 10))
    pools.started(GPU)
    assert pools.log == ["+cpu", "+gpu"]
    follow(StepStarted("label", 0, 10))
    assert pools.log == ["+cpu", "+gpu", "-gpu"]


def test_nothing_is_asked_for_where_pools_share_a_machine():
    pools = Logged()
    pools.one_at_a_time = True
    follow = LookAhead(pools, STEPS)
    follow(StepStarted("ingest", 10, 10))
    assert pools.log == []
    pools.started(CPU)
    pools.started(GPU)
    assert pools.log == ["+cpu", "-cpu", "+gpu"]


def test_a_step_that_the_plan_did_not_know_changes_nothing():
    pools = Logged()
    follow = LookAhead(pools, STEPS)
    pools.started(GPU)
    follow(StepStarted("trial of cria", 0, 10))
    follow(block("trial of cria", 10))
    assert pools.log == ["+gpu"]

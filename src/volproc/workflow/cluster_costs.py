"""What a run costs on a cluster: hours, core hours, GPU hours and money, before it begins."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from volproc.workflow.speeds import GpuSeconds

MOST_JOBS = 4096
"""That are thought of for a deadline."""


@dataclass(frozen=True)
class Work:
    """What is left of a step: blocks, and how long one worker of its pool takes for each."""

    stage: str
    step: str
    pool: str
    blocks: int
    block_seconds: float
    source: str
    """Where `block_seconds` is from, in words."""
    gpu: GpuSeconds | None = None
    """What makes them up, where a GPU's are estimated."""

    def seconds(self, workers: int) -> float:
        """How long so many workers take: a block is never shared."""
        return math.ceil(self.blocks / workers) * self.block_seconds


@dataclass(frozen=True)
class PoolSize:
    """A number of like jobs, or workers of one machine."""

    jobs: int
    workers_per_job: int = 1
    cores: float = 1.0
    """Cores of a job."""
    gpus: int = 0
    """GPUs of a job."""
    price: float = 0.0
    """Of a job, an hour."""
    ask_ahead_s: float = 0.0
    """So long before its first step it is there, and costs, if the queue is short."""
    start_s: float = 0.0
    """From the start of a job to its first block."""
    most: int = MOST_JOBS
    """Jobs that there could be."""
    shared: bool = False
    """Whether it is there for its own steps only, and gives way to other pools between them."""

    @property
    def workers(self) -> int:
        """All its workers."""
        return self.jobs * self.workers_per_job


@dataclass(frozen=True)
class PoolCost:
    """What a pool costs from its first step to its last, idle in between or not."""

    size: PoolSize
    hours: float

    @property
    def core_hours(self) -> float:
        """Cores times hours."""
        return self.size.jobs * self.size.cores * self.hours

    @property
    def gpu_hours(self) -> float:
        """GPUs times hours."""
        return self.size.jobs * self.size.gpus * self.hours

    @property
    def money(self) -> float:
        """Jobs times hours times their price."""
        return self.size.jobs * self.size.price * self.hours


@dataclass(frozen=True)
class RunCost:
    """How long a run takes, and what each of its pools costs."""

    hours: float
    pools: Mapping[str, PoolCost]

    @property
    def money(self) -> float:
        """Of all pools together."""
        return sum(one.money for one in self.pools.values())

    @property
    def _rank(self) -> tuple[float, ...]:
        """Cheaper first: money, where prices are stated; then GPU hours, core hours, hours."""
        every = self.pools.values()
        hours = (sum(one.gpu_hours for one in every), sum(one.core_hours for one in every))
        return (round(self.money, 9), *(round(each, 9) for each in hours), self.hours)

    def cheaper(self, other: RunCost | None) -> bool:
        """Whether this one costs less."""
        return other is None or self._rank < other._rank


def cost_of(work: Sequence[Work], pools: Mapping[str, PoolSize]) -> RunCost:
    """The cost of steps that run one after the other, each on its pool."""
    begins: dict[str, float] = {}
    ends: dict[str, float] = {}
    busy: dict[str, float] = defaultdict(float)
    now = 0.0
    for step in work:
        seconds = step.seconds(pools[step.pool].workers)
        begins.setdefault(step.pool, now)
        now += seconds
        busy[step.pool] += seconds
        ends[step.pool] = now
    found = {}
    for name, begin in begins.items():
        asked = max(0.0, begin - pools[name].ask_ahead_s)
        held = busy[name] if pools[name].shared else ends[name] - asked
        found[name] = PoolCost(pools[name], (held + pools[name].start_s) / 3600)
    return RunCost(now / 3600, found)


def cheapest(
    work: Sequence[Work], pools: Mapping[str, PoolSize], *, hours: float
) -> tuple[RunCost | None, RunCost]:
    """The cheapest numbers of jobs by which a run takes no longer than `hours` (None: no number
    does), and the fastest."""
    best, fastest = None, cost_of(work, pools)
    for sizes in _sizes(work, pools):
        cost = cost_of(work, sizes)
        if cost.hours <= hours and cost.cheaper(best):
            best = cost
        if (cost.hours, cost._rank) < (fastest.hours, fastest._rank):
            fastest = cost
    return best, fastest


def _sizes(work: Sequence[Work], pools: Mapping[str, PoolSize]) -> Iterator[dict[str, PoolSize]]:
    """Pools of all numbers of jobs that differ by more than a little."""
    used = {step.pool for step in work}
    blocks = {name: max(s.blocks for s in work if s.pool == name) for name in used}
    choices = [
        [replace(pools[name], jobs=jobs) for jobs in _counts(pools[name], blocks[name])]
        for name in sorted(used)
    ]
    for sizes in product(*choices):
        yield dict(zip(sorted(used), sizes, strict=True))


def _counts(size: PoolSize, blocks: int) -> Iterable[int]:
    """1, 2, 3, ..., from 32 on in steps of a sixteenth, to a job for every block."""
    most = min(size.most, math.ceil(blocks / size.workers_per_job))
    count = 1
    while count < most:
        yield count
        count += max(1, count // 16)
    yield most

"""The processes that train together: this one, and companions that do nothing else.

    volproc train      rank 0 ──plan──▶ store ──▶ rank 1, 2, ... started here, or by torchrun
                       reads options, owns the lease, validates, writes
    companions         wait for a plan, take their part of each batch, wait for the next plan

So a companion needs no options and takes no lease, whoever started it; under torchrun `volproc
run` may fetch and predict for hours before and after the training.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore, rendezvous  # type: ignore[attr-defined]

from volproc.errors import ModelError
from volproc.model.device import device_for
from volproc.stages.train.plan import TrainPlan
from volproc.stages.train.processes import ALONE, Processes

STARTED_ELSEWHERE = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells each process."""
OVER = "volproc: no further training"
TRAININGS = "volproc: number of trainings"
LOOK_EVERY_S = 0.2
Companion = subprocess.Popen[bytes]
TIMEOUT = timedelta(hours=2)
"""So long may the first process validate while the others wait."""


def under_torchrun() -> bool:
    """Whether something else has started several processes of this command."""
    return all(name in os.environ for name in STARTED_ELSEWHERE) and world()[1] > 1


def is_companion() -> bool:
    """Whether this process is one of them, and not the first."""
    return under_torchrun() and world()[0] > 0


def dismiss() -> None:
    """Tell the companions that torchrun started that there will be no further training."""
    if under_torchrun():
        with suppress(Exception):  # they are gone, or see that this process is
            meeting_store().set(OVER, "1")


def process_count(plan: TrainPlan) -> int:
    """How many processes train: as many as asked for, else one per GPU, one without; no more than
    there are patches in a batch."""
    options = plan.options
    on_gpu = device_for(options.device, table="train") == "cuda"
    available = torch.cuda.device_count() if on_gpu else 1
    if on_gpu and options.processes > available:
        raise ModelError(
            f"[train] processes = {options.processes}, but there are {available} GPUs; give at "
            "most one process per GPU"
        )
    return min(options.processes or available, options.batch)


@contextmanager
def training_together(plan: TrainPlan) -> Iterator[Processes]:
    """The processes of a training, of which this is the first; the others have got the plan."""
    if under_torchrun():
        with _first_of(plan, meeting_store(), world()[1]) as processes:
            yield processes
        return
    count = process_count(plan)
    if count == 1:
        yield ALONE
        return
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with _threads_of(count), _started(store.port, count) as companions:
        try:
            with _first_of(plan, store, count, companions) as processes:
                yield processes
        except RuntimeError:  # nobody answers: because one has died?
            time.sleep(LOOK_EVERY_S)
            _require_alive(companions)
            raise
        store.set(OVER, "1")


@contextmanager
def group(plan: TrainPlan, store: Store, number: int, place: tuple[int, int]) -> Iterator[None]:
    """Within it the processes of the training of this number can add up tensors."""
    rank, count = place
    on_gpu = device_for(plan.options.device, table="train") == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=PrefixStore(f"group {number}", store),
        rank=rank,
        world_size=count,
        timeout=TIMEOUT,
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def _first_of(
    plan: TrainPlan, store: Store, count: int, companions: Sequence[Companion] = ()
) -> Iterator[Processes]:
    """The first process of a training, once all others have got the plan."""
    number = store.add(TRAININGS, 1) - 1
    store.set(plan_key(number), pickle.dumps(plan))  # type: ignore[arg-type]
    ready = [ready_key(number, rank) for rank in range(1, count)]
    while not store.check(ready):  # else a companion that died is waited for, for hours
        _require_alive(companions)
        time.sleep(LOOK_EVERY_S)
    with group(plan, store, number, (0, count)):
        yield Processes(0, count)


def plan_key(number: int) -> str:
    """Under which the store has the plan of a training."""
    return f"volproc: training {number}"


def ready_key(number: int, rank: int) -> str:
    """Under which a companion says that it is there."""
    return f"volproc: training {number}, process {rank} is there"


@contextmanager
def _started(port: int, count: int) -> Iterator[list[Companion]]:
    """Companions of ranks 1 to `count` - 1; none of them is left at the end."""
    command = [sys.executable, "-m", "volproc.stages.train.companion"]
    companions = []
    try:
        for rank in range(1, count):
            told: dict[str, Any] = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}
            told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            told |= {"OMP_NUM_THREADS": torch.get_num_threads()}
            environment = {**os.environ, **{name: str(value) for name, value in told.items()}}
            companions.append(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE))
        yield companions
        for one in companions:
            one.wait()
    finally:
        for one in companions:
            one.kill()
            one.wait()
            if one.stdin:
                one.stdin.close()


@contextmanager
def _threads_of(count: int) -> Iterator[None]:
    """Within it torch uses one part in `count` of its threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // count))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _require_alive(companions: Sequence[Companion]) -> None:
    """ModelError if a companion has died."""
    for rank, one in enumerate(companions, start=1):
        if one.poll():
            raise ModelError(
                f"process {rank} of {len(companions) + 1} that train together ended with "
                f"{one.returncode}; its last words are above. The same command goes on from the "
                "checkpoint"
            )


def world() -> tuple[int, int]:
    """The rank of this process, and how many there are."""
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


_stores: list[Any] = []


def meeting_store() -> Store:
    """Where the processes that were started together meet; connected to once."""
    if not _stores:
        rank, count = world()
        place = f"env://?rank={rank}&world_size={count}"
        _stores.append(next(rendezvous(place, timeout=TIMEOUT))[0])
    store: Store = _stores[0]
    return store

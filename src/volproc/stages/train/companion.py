"""One of the processes that train together: it waits for plans, and takes its part of each."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from contextlib import suppress

from torch.distributed import Store  # type: ignore[attr-defined]

from volproc.errors import StoppedError
from volproc.stages.train.companions import (
    LOOK_EVERY_S,
    OVER,
    group,
    meeting_store,
    plan_key,
    ready_key,
    world,
)
from volproc.stages.train.execution import index_for, trained
from volproc.stages.train.plan import TrainPlan
from volproc.stages.train.processes import Processes


def serve() -> None:
    """Take part in the trainings of the first process until there is none any more."""
    (rank, count), store = world(), meeting_store()
    number = 0
    while (plan := _next_plan(store, number)) is not None:
        index = index_for(plan)
        store.set(ready_key(number, rank), "1")
        with group(plan, store, number, (rank, count)), suppress(StoppedError):
            trained(plan, index, Processes(rank, count))
        number += 1


def _next_plan(store: Store, number: int) -> TrainPlan | None:
    """The plan of the next training, waited for; None if there will be none."""
    while not store.check([plan_key(number)]):
        if store.check([OVER]):
            return None
        time.sleep(LOOK_EVERY_S)
    found: TrainPlan = pickle.loads(store.get(plan_key(number)))  # of our own first process
    return found


def _end_with_first_process() -> None:
    """Ends this process when the one that started it is gone: its end of the pipe closes."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """A companion that was started here."""
    threading.Thread(target=_end_with_first_process, daemon=True).start()
    serve()


if __name__ == "__main__":
    main()

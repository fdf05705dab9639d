"""The shards of a box on several threads, where a process has more cores than blocks in hand.

That is so where it feeds a GPU, or where memory allows fewer workers than there are cores: zstd and
files let go of the interpreter. How many threads zarr would take counts here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import cache
from typing import TypeVar

import zarr

T = TypeVar("T")


def each_at_once(do: Callable[[T], None], shards: Iterable[T]) -> None:
    """`do` each of the shards; the first error is raised once no thread is at work any more."""
    pool, waiting = _pool(threads()), list(shards)
    if pool is None or len(waiting) == 1:
        for shard in waiting:
            do(shard)
        return
    running = [pool.submit(copy_context().run, do, shard) for shard in waiting]
    wait(running)  # a block that is tried again must not meet threads of the try before
    for one in running:
        one.result()


def threads() -> int:
    """How many threads this process may read and write with, as its workers' environment says."""
    return int(zarr.config.get("threading.max_workers") or 1)


@cache
def _pool(count: int) -> ThreadPoolExecutor | None:
    return ThreadPoolExecutor(count, "shards") if count > 1 else None

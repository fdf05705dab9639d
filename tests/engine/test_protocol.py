import errno
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.engine.memory import RESERVED_BYTES, check_memory
from volproc.engine.protocol import BLOCK_PAUSES_S, Step, do_block
from volproc.errors import MemoryLimitError, VolprocError
from volproc.grid.blocks import Tiling

BLOCKS = Tiling(shape=(1, 1, 12), core=(1, 1, 1))


class Held:
    """Bytes in hand: what was made and not yet let go, and the most there ever was."""

    def __init__(self):
        self.now = self.most = 0
        self._lock = threading.Lock()

    def take(self, count):
        with self._lock:
            self.now += count
            self.most = max(self.most, self.now)
        return Taken(self, count)

    def give(self, count):
        with self._lock:
            self.now -= count


class Taken:
    """Some bytes, in hand until nobody refers to them any more."""

    def __init__(self, held, count):
        self.held, self.count = held, count

    def __del__(self):
        self.held.give(self.count)


@dataclass(frozen=True)
class Greedy:
    """Takes so many bytes to load, keep, compute, and store a block, on top of one another."""

    held: Held
    loading: int
    loaded: int
    computing: int
    result: int
    storing: int

    def load(self, block):
        more = self.held.take(self.loading)
        time.sleep(0.0002)
        del more
        return self.held.take(self.loaded)

    def compute(self, block, loaded):
        more = self.held.take(self.computing)
        time.sleep(0.0002)
        del more
        return self.held.take(self.result)

    def store(self, block, result):
        more = self.held.take(self.storing)
        time.sleep(0.0002)
        del more

    def step(self):
        waiting = max(self.loading, self.loaded, self.result + self.storing)
        peak = max(waiting, self.loaded + max(self.computing, self.result))
        return Step("greedy", self, BLOCKS, "d", peak_bytes=peak, waiting_bytes=waiting)


sizes = st.integers(1, 1000)


@settings(max_examples=60)
@given(task=st.builds(Greedy, st.builds(Held), *[sizes] * 5), threads=st.integers(1, 5))
def test_blocks_in_hand_take_no_more_than_is_promised(task, threads):
    with ThreadPoolExecutor(threads) as pool:
        outcomes = list(pool.map(lambda block: do_block(task, block), BLOCKS))
    assert [outcome.failure for outcome in outcomes] == [None] * 12
    assert task.held.most <= task.step().projected_bytes(threads)
    assert task.held.now == 0


def test_what_was_read_is_not_in_hand_while_the_result_is_written():
    task = Greedy(Held(), loading=1, loaded=100, computing=1, result=30, storing=80)
    do_block(task, BLOCKS[0])
    assert task.held.most == 130 == task.step().projected_bytes(1)


def test_a_failure_is_one_line_whatever_the_error_says():
    class Wordy(Greedy):
        def compute(self, block, loaded):
            raise RuntimeError("CUDA error: no luck\n  Try again,\n\n  or do not.\n")

    failure = do_block(Wordy(Held(), 1, 1, 1, 1, 1), BLOCKS[0]).failure
    assert failure == "RuntimeError: CUDA error: no luck Try again, or do not."


@dataclass
class Failing:
    """Raises an error a number of times, then works."""

    error: Exception
    times: int
    tries: int = 0

    def load(self, block):
        self.tries += 1
        if self.tries <= self.times:
            raise self.error

    def compute(self, block, loaded):
        return loaded

    def store(self, block, result):
        return "done"


def test_what_is_transient_is_tried_again_with_longer_and_longer_pauses(pauses):
    task = Failing(OSError(errno.ESTALE, "Stale file handle"), times=2)
    assert do_block(task, BLOCKS[0]).record == "done"
    ratios = [pause / base for base, pause in zip(BLOCK_PAUSES_S, pauses, strict=True)]
    assert all(0.5 <= ratio <= 1.5 for ratio in ratios)
    assert task.tries == 3


def test_in_the_end_it_fails_and_says_how_often_it_was_tried(pauses):
    task = Failing(ConnectionResetError("Connection reset by peer"), times=9)
    outcome = do_block(task, BLOCKS[0])
    assert (task.tries, outcome.blame) == (3, "transient")
    assert f"tried 3 times, with pauses of {sum(pauses):.2g} s in all" in outcome.failure
    assert "Connection reset by peer" in outcome.failure
    assert (outcome.worker, outcome.host) == (os.getpid(), socket.gethostname())


@pytest.mark.parametrize(
    ("error", "blame", "said"),
    [
        (VolprocError("mend it"), "user", "mend it"),
        (IndexError("list index out of range"), "bug", "IndexError: list index out of range"),
        (OSError(errno.ENOSPC, "No space left on device"), "user", "free some space"),
        (PermissionError(errno.EACCES, "Permission denied"), "user", "check the rights"),
        (ModuleNotFoundError("No module named 'onnx'"), "user", "install the package"),
        (MemoryError("Unable to allocate 9 TiB"), "user", "make the block smaller"),
    ],
)
def test_what_would_be_the_same_again_is_tried_once(error, blame, said, pauses):
    task = Failing(error, times=1)
    outcome = do_block(task, BLOCKS[0])
    assert (task.tries, pauses, outcome.blame) == (1, [], blame)
    assert said in outcome.failure
    assert bool(outcome.trace) == (blame == "bug")


@given(peak=sizes, waiting=st.none() | sizes, blocks=st.integers(1, 8))
def test_more_blocks_in_hand_take_more(peak, waiting, blocks):
    step = Step("any", None, BLOCKS, "d", peak_bytes=peak, waiting_bytes=waiting)
    assert step.projected_bytes(1) >= peak
    more = step.projected_bytes(blocks + 1) - step.projected_bytes(blocks)
    assert more == (peak if waiting is None else waiting)


def test_several_blocks_that_cannot_fit_together_are_refused_with_the_way_out():
    room = 1000 + RESERVED_BYTES
    check_memory("predict", 1000, blocks=4, worker_bytes=room)
    with pytest.raises(MemoryLimitError, match=r"4 blocks of predict need .* threads fewer than 4"):
        check_memory("predict", 1001, blocks=4, worker_bytes=room)

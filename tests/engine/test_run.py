import json
import math
import os
import signal
import socket
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pytest

from volproc.engine.events import BlockFailed, JsonLines
from volproc.engine.protocol import Outcome, Step
from volproc.engine.run import MAX_FAILURES, Runner, only
from volproc.engine.serial import SerialEngine
from volproc.errors import BlocksFailedError, MemoryLimitError, StoppedError, VolprocError
from volproc.faults import IN_THE_LOG
from volproc.grid.blocks import Block, Tiling


@dataclass(frozen=True)
class Tally:
    """Notes in a file that a block was done; may fail on some blocks, or kill its worker once."""

    folder: Path
    broken: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()

    def load(self, block: Block) -> int:
        if block.index in self.wrong:
            raise VolprocError(f"block {block.index} is wrong; mend it")
        return block.index

    def compute(self, block: Block, loaded: int) -> int:
        if block.index in self.broken:
            with (self.folder / f"tries-{block.index}").open("a") as file:
                file.write("x")
            raise ValueError("no luck")
        flag = self.folder / f"died-{block.index}"
        if block.index in self.deadly and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return loaded * loaded

    def store(self, block: Block, result: int) -> dict[str, int]:
        with (self.folder / f"done-{block.index}").open("a") as file:
            file.write("x")
        return {"square": result}


def step(folder, *, digest="d", **task) -> Step:
    blocks = Tiling(shape=(3, 4, 4), core=(1, 2, 2))
    return Step("tally", Tally(folder, **task), blocks, digest)


def done(folder) -> dict[str, int]:
    return {path.name: len(path.read_text()) for path in folder.glob("done-*")}


def test_records_come_in_the_order_of_the_blocks(tmp_path, any_runner):
    records = any_runner.run(step(tmp_path))
    assert records == [{"square": n * n} for n in range(12)]
    assert set(done(tmp_path).values()) == {1}


def chain(folder, name, *, steps=2, **task):
    """Steps one after the other, each of which depends on what the one before it gave."""
    total = 0
    for n in range(steps):
        (folder / name).mkdir(exist_ok=True)
        one = step(folder / name, digest=f"{total}", **task)
        records = yield replace(one, name=f"{name} {n}")
        total += sum(record["square"] for record in records)
    return total


def test_chains_return_what_they_make_of_their_steps_records(tmp_path, any_runner):
    once = sum(n * n for n in range(12))
    chains = chain(tmp_path, "a"), chain(tmp_path, "b", steps=1), chain(tmp_path, "c", steps=0)
    assert any_runner.run_together(*chains) == [2 * once, once, 0]


def test_chains_take_turns_and_the_steps_of_one_do_not(tmp_path, runner):
    events = []
    runner = replace(runner, watchers=(events.append,))
    runner.run_together(chain(tmp_path, "a"), chain(tmp_path, "b"))
    said = [(type(event).__name__, event.step) for event in events]
    first = {key: said.index(key) for key in said}
    last = {key: len(said) - 1 - said[::-1].index(key) for key in said}
    assert first["BlockDone", "b 0"] < last["BlockDone", "a 0"]  # side by side
    for name in "ab":
        assert last["StepFinished", f"{name} 0"] < first["StepStarted", f"{name} 1"]


def test_where_a_chain_fails_what_others_did_is_recorded(tmp_path, runner):
    with pytest.raises(VolprocError, match="block 3 is wrong"):
        runner.run_together(chain(tmp_path, "a", wrong=(3,)), chain(tmp_path, "b"))
    before = done(tmp_path / "b")
    assert before
    runner.run_together(chain(tmp_path, "b"))
    assert {name: count for name, count in done(tmp_path / "b").items() if name in before} == {
        name: 2
        for name in before  # two steps write there; none was done twice
    }


def test_what_is_recorded_is_left_alone(tmp_path, runner):
    assert runner.run(step(tmp_path)) == runner.run(step(tmp_path))
    assert set(done(tmp_path).values()) == {1}


def test_another_digest_does_everything_again(tmp_path, runner):
    runner.run(step(tmp_path))
    runner.run(step(tmp_path, digest="other"))
    assert set(done(tmp_path).values()) == {2}


def test_a_forgotten_step_is_done_again(tmp_path, runner):
    runner.run(step(tmp_path))
    runner.forget("tally")
    runner.run(step(tmp_path))
    assert set(done(tmp_path).values()) == {2}


def test_a_torn_last_line_is_one_block_to_do(tmp_path, runner):
    runner.run(step(tmp_path))
    path = tmp_path / "ledger" / "tally.jsonl"
    text = path.read_text()
    path.write_text(text[:-9])
    assert len(runner.run(step(tmp_path))) == 12
    assert sorted(done(tmp_path).values()) == [1] * 11 + [2]
    assert path.read_text() == text


def test_a_bug_is_tried_once_told_with_its_traceback_and_the_others_are_kept(tmp_path, any_runner):
    heard = []
    any_runner.watchers = (heard.append,)
    with pytest.raises(
        BlocksFailedError, match=r"2 of 12 blocks failed: .*ValueError: no luck; this is a fault of"
    ) as caught:
        any_runner.run(step(tmp_path, broken=(3, 7)))
    assert caught.value.exit_code == 1
    assert len(done(tmp_path)) == 10
    assert [(tmp_path / f"tries-{n}").read_text() for n in (3, 7)] == ["x", "x"]
    told = [event for event in heard if isinstance(event, BlockFailed)]
    assert [bool(event.trace) for event in told] == [True, False]
    assert 'raise ValueError("no luck")' in told[0].trace
    assert all(event.worker > 0 and event.host == socket.gethostname() for event in told)
    assert len(any_runner.run(step(tmp_path))) == 12
    assert set(done(tmp_path).values()) == {1}


def test_a_bug_outside_blocks_is_in_the_log_and_goes_on(tmp_path, runner):
    runner.watchers = (JsonLines(tmp_path / "log.jsonl"),)
    with pytest.raises(ZeroDivisionError) as caught, runner.noting_bugs():
        1 / 0  # noqa: B018
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["event"] == "Crashed"
    assert "1 / 0" in json.loads(line)["trace"]
    assert IN_THE_LOG in caught.value.__notes__


def test_what_the_user_can_mend_is_no_bug(tmp_path, runner):
    runner.watchers = (JsonLines(tmp_path / "log.jsonl"),)
    with pytest.raises(VolprocError), runner.noting_bugs():
        raise VolprocError("mend it")
    assert not (tmp_path / "log.jsonl").exists()


def test_what_the_user_can_mend_is_said_once_and_not_tried_again(tmp_path, any_runner):
    with pytest.raises(VolprocError, match=r"tally: block 5 is wrong; mend it$") as caught:
        any_runner.run(step(tmp_path, wrong=(5,)))
    assert caught.value.exit_code == 2
    assert len(done(tmp_path)) == 11


def test_a_step_that_fails_everywhere_is_given_up(tmp_path, runner):
    with pytest.raises(BlocksFailedError, match=f"{MAX_FAILURES} of 12"):
        runner.run(step(tmp_path, broken=tuple(range(12))))


@pytest.mark.dask
def test_a_killed_worker_costs_nothing_but_time(tmp_path, dask_runner):
    records = dask_runner.run(step(tmp_path, deadly=(2, 9)))
    assert records == [{"square": n * n} for n in range(12)]
    assert (tmp_path / "died-9").exists()


def test_a_block_that_cannot_fit_is_refused_before_anything_is_done(tmp_path, runner):
    runner.engine.worker_bytes = 10**9
    plan = step(tmp_path)
    big = Step(plan.name, plan.task, plan.blocks, plan.digest, peak_bytes=10**9)
    with pytest.raises(
        MemoryLimitError, match=r"a block of tally needs 1\.63 GB .*a worker has 1 GB"
    ):
        runner.run(big)
    assert not done(tmp_path)


def test_watchers_hear_what_happens(tmp_path, runner):
    from volproc.engine.events import BlockDone, StepFinished, StepStarted

    heard = []
    runner.watchers = (heard.append, JsonLines(tmp_path / "log.jsonl"))
    runner.run(step(tmp_path))
    assert [type(e) for e in heard] == [StepStarted, *[BlockDone] * 12, StepFinished]
    assert [e.done for e in heard[1:-1]] == list(range(1, 13))
    assert heard[-1].voxels == 48
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == [type(e).__name__ for e in heard]


class DeadWorkers(SerialEngine):
    """Every block ends its worker."""

    def map(self, task, blocks):
        return (Outcome(b, failure="its worker died 4 times", blame="worker") for b in blocks)


def test_a_dead_worker_is_told_with_the_files_that_it_was_reading(tmp_path):
    """Number 8374 of HDF5 in scripts/fuzz: its library crashes while voxels are read."""
    dying = Runner(DeadWorkers(), tmp_path / "records")
    with pytest.raises(BlocksFailedError) as told:
        dying.run(replace(step(tmp_path), reads="raw.h5"))
    assert "worker died 4 times; or raw.h5, which it was reading, is damaged" in str(told.value)
    with pytest.raises(BlocksFailedError) as told:
        dying.run(step(tmp_path))
    assert "damaged" not in str(told.value)


class Clock:
    """Goes on by a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.mark.parametrize("seconds", range(2, 14))
def test_when_the_time_is_over_no_block_is_begun_and_the_next_run_goes_on(
    tmp_path, runner, seconds
):
    runner.clock, runner.until = Clock(), float(seconds)
    with pytest.raises(StoppedError, match=r"^stopped at \d\d:\d\d as --until says: ") as caught:
        runner.run(step(tmp_path))
    begun = seconds - 2  # the first reading is before workers are asked for
    assert f": {begun} of 12 blocks of tally are recorded; the same" in str(caught.value)
    assert caught.value.exit_code == 75
    assert len(done(tmp_path)) == begun
    runner.until = math.inf
    assert len(runner.run(step(tmp_path))) == 12
    assert set(done(tmp_path).values()) == {1}


def test_blocks_in_hand_on_workers_are_finished_and_recorded(tmp_path, any_runner):
    any_runner.clock, any_runner.until = Clock(), 8.0
    with pytest.raises(StoppedError, match="6 of 12 blocks"):
        any_runner.run(step(tmp_path))
    assert len(done(tmp_path)) == 6
    lines = (tmp_path / "ledger" / "tally.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 6


def test_no_worker_is_asked_for_when_the_time_is_over(tmp_path, runner):
    class Refusing(SerialEngine):
        def map(self, step, blocks):
            raise AssertionError

    runner.engine, runner.until = Refusing(), 0.0
    with pytest.raises(StoppedError, match="0 of 12 blocks"):
        runner.run(step(tmp_path))


def test_a_step_that_is_done_when_the_time_is_over_ends_well(tmp_path, runner):
    runner.clock, runner.until = Clock(), 14.0
    assert len(runner.run(step(tmp_path))) == 12
    runner.until = 0.0
    assert len(runner.run(step(tmp_path))) == 12


def test_a_block_that_failed_counts_for_more_than_the_time(tmp_path, runner):
    runner.clock, runner.until = Clock(), 8.0
    with pytest.raises(VolprocError, match=r"block 3 is wrong; mend it") as caught:
        runner.run(step(tmp_path, wrong=(3,)))
    assert caught.value.exit_code == 2


class Ahead(SerialEngine):
    """Has several blocks in hand, as Dask has; of each step another number."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def map(self, step, blocks):
        waiting = iter(blocks)
        while held := list(islice(waiting, {"a": 2, "b": 3, "c": 5}[step.name])):
            self.taken += len(held)
            yield from super().map(step, held)


def test_blocks_in_hand_of_steps_that_share_the_workers_are_all_recorded(tmp_path, runner):
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    runner.engine, runner.clock, runner.until = Ahead(), Clock(), 16.0
    steps = [replace(step(folder), name=folder.name) for folder in folders]
    with pytest.raises(StoppedError, match="the same command goes on"):
        runner.run_together(*(only(one) for one in steps))
    ledgers = [tmp_path / "ledger" / f"{folder.name}.jsonl" for folder in folders]
    recorded = sum(len(path.read_text().splitlines()) - 1 for path in ledgers)
    assert recorded == runner.engine.taken == sum(len(done(folder)) for folder in folders)
    assert recorded > 8

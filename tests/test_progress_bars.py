from io import StringIO

import pytest
from rich.console import Console

from volproc import progress_bars as progress_file
from volproc.engine.events import (
    Advanced,
    BlockDone,
    BlockFailed,
    Note,
    ProgressMeter,
    StepFinished,
    StepStarted,
)
from volproc.progress_bars import (
    ProgressLines,
    TerminalBar,
    progress,
    transfer_progress,
)
from volproc.stages.ingest.empiar.download import FetchProgress
from volproc.stages.webpage import MIN_VOXELS, rate


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def lines():
    return []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(lines, clock):
    return ProgressLines(lines.append, clock)


def block(done, total, voxels=10**6, step="predict"):
    return BlockDone(step, done, done, total, voxels, worker=1, peak_bytes=0)


@pytest.mark.parametrize(
    ("blocks", "voxels", "seconds", "said"),
    [
        (1, 6_290_000, 1, "6.29 Mvoxel/s"),
        (1, 6_290_000, 1000, "6.29 kvoxel/s"),
        (1, 6_290_000, 10**6, "6.29 voxel/s"),
        (10, 5 * 10**9, 1, "5 Gvoxel/s"),
        (4, MIN_VOXELS * 4, 1, "16.4 kvoxel/s"),
        (4, MIN_VOXELS * 4 - 1, 1, "4 blocks/s"),
        (3, 3, 60, "3 blocks/min"),
        (0, 0, 60, ""),
        (3, 3, 0, ""),
    ],
)
def test_a_rate_has_a_unit_that_fits(blocks, voxels, seconds, said):
    assert rate(blocks, voxels, seconds) == said


def test_a_line_at_the_start_now_and_then_and_at_the_end(watch, lines, clock):
    watch(StepStarted("predict", 2, 12))
    for done in range(3, 13):
        clock.now += 0.5
        watch(block(done, 12))
    watch(StepFinished("predict", 12, 10**7, 5.0, 0))
    assert lines == [
        "predict: 2/12",
        "predict: 4/12 blocks, 2 Mvoxel/s, 4.0 s left",
        "predict: 8/12 blocks, 2 Mvoxel/s, 2.0 s left",
        "predict: 12/12 blocks, 2 Mvoxel/s, done in 5.0 s",
    ]


def test_lines_become_rarer_up_to_one_in_half_a_minute(watch, lines, clock):
    watch(StepStarted("predict", 0, 1000))
    told = []
    for done in range(1, 200):
        clock.now += 1
        before = len(lines)
        watch(block(done, 1000))
        told += [done] * (len(lines) - before)
    assert told == [1, 3, 7, 15, 31, 61, 91, 121, 151, 181]


def test_each_step_starts_with_short_intervals(watch, lines, clock):
    watch(StepStarted("predict", 0, 1000))
    for done in range(1, 64):
        clock.now += 1
        watch(block(done, 1000))
    watch(StepStarted("label", 0, 9))
    clock.now += 1
    watch(block(1, 9, step="label"))
    assert lines[-1].startswith("label: 1/9 blocks")


def test_what_was_done_before_is_told_once(watch, lines):
    watch(StepStarted("predict", 12, 12))
    watch(StepFinished("predict", 12, 0, 0.0, 0))
    assert lines == ["predict: 12/12, done in 0.0 s"]


def test_a_step_without_blocks_says_what_it_says(watch, lines, clock):
    watch(StepStarted("train", 0, 100))
    clock.now += 10
    watch(Advanced("train", 20, 100, "loss 0.321"))
    watch(StepStarted("read", 0, 0))
    clock.now += 10
    watch(Advanced("read", 20, 0))
    assert lines == [
        "train: 0/100",
        "train: 20/100, loss 0.321, 40 s left",
        "read: 0",
        "read: 20, 2 blocks/s",
    ]


def test_notes_and_failures_are_lines_everywhere(watch, lines):
    screen = StringIO()
    bar = TerminalBar(Console(file=screen, width=120))
    for event in (Note("[b]label[/b] is remade"), BlockFailed("label", 3, "no space [left]")):
        watch(event)
        bar(event)
    bar.stop()
    assert lines == ["[b]label[/b] is remade", "label: block 3 failed: no space [left]"]
    assert all(line in screen.getvalue() for line in lines)


def test_the_bar_shows_rate_and_blocks(clock):
    screen = StringIO()
    bar = TerminalBar(Console(file=screen, force_terminal=True, width=120), clock)
    bar(StepStarted("predict", 0, 2))
    clock.now += 2
    bar(block(1, 2))
    bar(block(2, 2))
    bar.stop()
    assert "2/2" in screen.getvalue()
    assert "1 Mvoxel/s" in screen.getvalue()


def test_the_bar_shows_steps_without_blocks():
    screen = StringIO()
    bar = TerminalBar(Console(file=screen, force_terminal=True, width=120))
    with ProgressMeter("read the export, MB", (bar,)) as tell:
        tell(3, 7, "1,234 rows")
        tell(7, 7, "2,345 rows")
    bar.stop()
    assert "7/7" in screen.getvalue()
    assert "2,345 rows" in screen.getvalue()


def test_off_a_terminal_there_are_plain_lines(capsys):
    with progress() as watch:
        watch(StepStarted("predict", 0, 2))
    assert capsys.readouterr().err == "predict: 0/2\n"


def test_in_a_terminal_there_is_the_bar(monkeypatch):
    monkeypatch.setattr(progress_file.sys.stderr, "isatty", lambda: True, raising=False)
    with progress() as watch:
        assert isinstance(watch, TerminalBar)


def test_a_transfer_off_a_terminal_is_lines_too(capsys):
    with transfer_progress() as watch:
        watch(FetchProgress(files=1, files_total=3, bytes=5_000_000, bytes_total=9_000_000))
    first, last = capsys.readouterr().err.splitlines()
    assert first == "fetch, MB: 0/9"
    assert last.startswith("fetch, MB: 5/9, 1 of 3 files")

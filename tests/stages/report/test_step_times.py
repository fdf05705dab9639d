import json

import pytest

from volproc.engine.events import (
    Advanced,
    BlockDone,
    BlockFailed,
    JsonLines,
    StepFinished,
    StepStarted,
)
from volproc.stages.report.step_times import history_of


def times_of(lines):
    return history_of(lines).steps


def log(*events):
    """Lines as JsonLines writes them, one second apart."""
    return [
        json.dumps({"event": type(event).__name__, "time": 100.0 + n, **vars(event)})
        for n, event in enumerate(events)
    ]


def done(step, block, *, voxels=10, peak=5):
    return BlockDone(step, block, block + 1, 3, voxels=voxels, worker=1, peak_bytes=peak)


def test_a_run_that_was_killed_counts_until_its_last_block():
    (row,) = times_of(
        log(
            StepStarted("predict", 0, 3),
            done("predict", 0, peak=7),
            done("predict", 1),
            StepStarted("predict", 2, 3),
            done("predict", 2),
            StepFinished("predict", 3, 10, 1.5, 5),
        )
    )
    assert (row.runs, row.blocks, row.voxels, row.peak_bytes) == (2, 3, 30, 7)
    assert row.seconds == pytest.approx(2 + 1.5)
    assert row.rate == pytest.approx(30 / 3.5)


def test_a_step_without_blocks_has_its_time_and_its_rate():
    """As a training is; one that was killed counts as far as it told."""
    (row,) = times_of(
        log(
            StepStarted("train", 0, 9),
            Advanced("train", 4, 9, "loss 1.2"),
            StepStarted("train", 0, 9),
            Advanced("train", 9, 9, "loss 0.8"),
            StepFinished("train", 0, 50, 2.5, 0),
        )
    )
    assert (row.runs, row.blocks, row.voxels) == (2, 0, 50)
    assert row.seconds == pytest.approx(1 + 2.5)


def test_a_log_that_ends_in_the_middle_counts_as_far_as_it_goes():
    lines = log(StepStarted("label", 0, 2), done("label", 0), BlockFailed("label", 1, "why"))
    (row,) = times_of([*lines, '{"event": "Blo'])
    assert history_of(lines).failure == "block 1 of label: why"
    assert row.open
    assert (row.seconds, row.blocks, row.failed) == (1.0, 1, 1)


def test_levels_of_a_pyramid_are_one_step():
    rows = times_of(
        log(
            StepStarted("pyramid of image, level 1", 0, 1),
            done("pyramid of image, level 1", 0),
            StepFinished("pyramid of image, level 1", 1, 10, 2.0, 5),
            StepStarted("pyramid of image, level 2", 0, 1),
            StepFinished("pyramid of image, level 2", 1, 0, 3.0, 5),
        )
    )
    assert [(row.step, row.runs, row.seconds) for row in rows] == [("pyramid of image", 1, 5.0)]


def test_a_step_that_was_done_already_has_no_rate():
    (row,) = times_of(log(StepStarted("label", 3, 3), StepFinished("label", 3, 0, 0.1, 0)))
    assert row.rate is None


def test_the_log_of_the_engine_is_understood(tmp_path):
    watch = JsonLines(tmp_path / "log.jsonl")
    for event in (StepStarted("a", 0, 1), done("a", 0), StepFinished("a", 1, 10, 2.0, 5)):
        watch(event)
    (row,) = times_of((tmp_path / "log.jsonl").read_text().splitlines())
    assert (row.step, row.voxels, row.rate) == ("a", 10, 5.0)


def test_what_was_kept_tried_again_and_promised_is_told():
    (row,) = times_of(
        log(
            StepStarted("predict", 0, 5, promised_bytes=900),
            done("predict", 0),
            StepStarted("predict", 1, 5, promised_bytes=1000),
            BlockDone("predict", 1, 2, 5, voxels=10, worker=1, peak_bytes=5, tries=3),
            StepFinished("predict", 5, 10, 1.0, 5),
        )
    )
    assert (row.kept, row.total, row.retries, row.promised_bytes) == (1, 5, 2, 1000)
    assert not row.open


def test_a_step_is_not_blamed_for_memory_that_a_step_before_it_used():
    """A process knows its peak since it began."""
    large, small, larger = times_of(
        log(
            *(StepStarted("large", 0, 1), done("large", 0, peak=900)),
            *(StepStarted("small", 0, 1), done("small", 0, peak=900)),
            *(StepStarted("larger", 0, 1), done("larger", 0, peak=950)),
        )
    )
    assert (large.peak_bytes, small.peak_bytes, larger.peak_bytes) == (900, 0, 950)


def test_a_run_that_went_on_has_failed_no_more():
    lines = log(
        StepStarted("label", 0, 2),
        BlockFailed("label", 1, "why"),
        StepStarted("label", 1, 2),
        done("label", 1),
        StepFinished("label", 2, 10, 1.0, 5),
    )
    assert history_of(lines).failure == ""


def test_kept_blocks_of_a_pyramid_are_those_of_all_its_levels():
    (row,) = times_of(
        log(
            StepStarted("pyramid of image, level 1", 3, 3),
            StepFinished("pyramid of image, level 1", 3, 0, 2.0, 5),
            StepStarted("pyramid of image, level 2", 1, 2),
            StepFinished("pyramid of image, level 2", 2, 10, 3.0, 5),
        )
    )
    assert (row.kept, row.total) == (4, 5)

import pytest

from volproc.engine.events import (
    Advanced,
    ProgressMeter,
    StepFinished,
    StepStarted,
)


def test_a_step_without_blocks_is_told():
    told = []
    with ProgressMeter("read", (told.append,)) as tell:
        for done in range(1000):
            tell(done, 999, f"{done} rows")
    started, *steps, finished = told
    assert started == StepStarted("read", 0, 999)
    assert steps[0] == Advanced("read", 0, 999, "0 rows")
    assert steps[-1] == Advanced("read", 999, 999, "999 rows")
    assert len(steps) < 100  # twice a second
    assert isinstance(finished, StepFinished)


def test_a_step_that_fails_or_never_begins_is_not_finished():
    told = []
    with ProgressMeter("read", (told.append,)):
        pass
    assert told == []

    def torn():
        with ProgressMeter("read", (told.append,)) as tell:
            tell(1, 2)
            raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"):
        torn()
    assert isinstance(told[0], StepStarted)
    assert not any(isinstance(one, StepFinished) for one in told)


def test_what_is_counted_may_have_voxels():
    """Of this run only: a step that goes on from 3 of 10 did 7 of them, or fewer."""
    told = []
    with ProgressMeter("train", (told.append,), voxels=50) as tell:
        for done in range(3, 11):
            tell(done, 10)
    assert told[-1].voxels == 7 * 50

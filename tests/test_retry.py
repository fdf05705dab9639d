"""What is transient is done again, a bounded number of times, at the same place."""

import asyncio
import errno
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.flaky import Faults, FlakyFile, quick_pauses

from volproc.errors import VolumeError
from volproc.retry import PAUSES_S, Patience, PatientFile, patient, patiently, patiently_async
from volproc.volume.access import reading


class Failing:
    def __init__(self, times, error=None):
        self.left, self.calls = times, 0
        self.error = error or OSError(errno.ESTALE, "Stale file handle")

    def __call__(self):
        self.calls += 1
        if self.calls <= self.left:
            raise self.error
        return "done"

    async def later(self):
        return self()


def both(call):
    """A way to make a call patiently, and the same for coroutines."""
    return patiently(call), asyncio.run(patiently_async(Failing(call.left, call.error).later))


def test_so_many_tries_with_stated_pauses(pauses):
    assert both(Failing(times=16)) == ("done", "done")
    for here in (pauses[:16], pauses[16:]):
        ratios = [pause / base for pause, base in zip(here, PAUSES_S, strict=True)]
        assert all(0.5 <= ratio <= 1.5 for ratio in ratios)
        assert len(set(ratios)) > 1


def test_then_the_error_says_how_often_it_was_tried(pauses):
    with pytest.raises(OSError, match="Stale") as caught:
        patiently(call := Failing(times=99))
    assert call.calls == 17
    assert caught.value.__notes__ == [f"tried 17 times, with pauses of {sum(pauses):.2g} s in all"]


def test_a_border_tells_the_tries_and_the_caller_does_not_start_again(pauses):
    call = Failing(times=99)

    @patient
    def outer():
        with reading("a.zarr"):
            return patiently(call)

    with pytest.raises(Exception, match=r"cannot read a.zarr: .*Stale.* \(tried 17 times, with"):
        outer()
    assert call.calls == 17


@pytest.mark.parametrize("error", [VolumeError("no"), IndexError(), FileNotFoundError()])
def test_other_errors_are_raised_at_once(error, pauses):
    with pytest.raises(type(error)):
        patiently(call := Failing(times=1, error=error))
    assert (call.calls, pauses) == (1, [])


def test_patience_ends():
    patience = Patience([1.0])
    assert patience.pause() is not None
    assert patience.pause() is None
    assert patience.tries == 2


@given(content=st.binary(min_size=1, max_size=2000), seed=st.integers(0, 9))
def test_a_file_is_read_and_written_whole_whatever_fails(tmp_path_factory, content, seed):
    path = tmp_path_factory.mktemp("file") / "a"
    faults = Faults(0.2, seed)
    with quick_pauses(faults):
        with PatientFile(lambda: FlakyFile(path.open("wb", buffering=0), faults)) as file:
            for start in range(0, len(content), 300):
                file.write(content[start : start + 300])
        assert path.read_bytes() == content
        raw = PatientFile(lambda: FlakyFile(path.open("rb"), faults))
        with io.BufferedReader(raw, 128) as file:
            assert file.read() == content
            file.seek(-1, os.SEEK_END)
            assert file.read(5) == content[-1:]

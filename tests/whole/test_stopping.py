"""A command that is told to end, by a batch system, a closed terminal or Ctrl-C, ends well."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from tests.whole.conftest import PATIENCE_S, SMALL

STOPPED = "volproc: stopped; finished blocks are kept, the same command goes on from here\n"


def not_ignored():
    """Shells start what runs in the background with SIGINT ignored, this test perhaps."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Started:
    """A command in a session of its own, with all that it and its workers print."""

    def __init__(self, folder, *arguments):
        self._said = folder / "said.txt"
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, SMALL, *arguments],
                cwd=folder,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=not_ignored,
            )

    @property
    def said(self):
        return self._said.read_text()

    def until(self, happened):
        end = time.monotonic() + PATIENCE_S
        while not happened():
            assert self.process.poll() is None, f"ended before; {self.said}"
            assert time.monotonic() < end, f"nothing happens; {self.said}"
            time.sleep(0.01)

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number, *, everyone=False):
        """Its exit code once it was told to stop, alone or with its workers; these are gone."""
        children = self.children()
        (os.killpg if everyone else os.kill)(self.process.pid, number)
        code = self.process.wait(PATIENCE_S)
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
        assert not alive
        return code


@pytest.fixture
def started():
    """started(folder, "run", ...): a command that does not outlive the test."""
    all_of_them = []

    def start(folder, *arguments):
        all_of_them.append(Started(folder, *arguments))
        return all_of_them[-1]

    yield start
    for one in all_of_them:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def owned(folder):
    """Who holds what in a run's folder still."""
    leases = [json.loads(path.read_text()) for path in folder.rglob("lease-*.json")]
    return [lease for lease in leases if lease["state"] == "held"]


def test_a_serial_run_ends_with_one_line(place, started):
    here = place("serial")
    command = started(here.folder, "run", "workflow.toml")
    command.until(lambda: here.events("BlockDone"))
    assert command.stop(signal.SIGTERM) == 143
    *before, last = command.said.splitlines()
    assert last == STOPPED.strip()
    assert [line for line in before if ": " not in line] == []  # progress, a line now and then
    assert owned(here.folder) == []


@pytest.mark.dask
@pytest.mark.parametrize(("number", "everyone"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_workers_at_work_end_with_the_run_and_say_nothing(place, started, number, everyone):
    """A batch system tells the command or all its processes, Ctrl-C in a terminal tells all."""
    here = place("dask", kind="local")
    command = started(here.folder, "run", "workflow.toml", "--quiet")
    command.until(lambda: here.events("BlockDone"))
    assert command.stop(number, everyone=everyone) == 128 + number
    assert command.said == STOPPED
    assert owned(here.folder) == []


@pytest.mark.dask
def test_workers_that_are_starting_end_with_the_run_and_say_nothing(place, started):
    here = place("starting", kind="local")
    command = started(here.folder, "run", "workflow.toml", "--quiet")
    command.until(command.children)
    assert command.stop(signal.SIGTERM, everyone=True) == 143
    assert command.said == STOPPED
    assert owned(here.folder) == []


def test_training_ends_with_one_line(place, started, scene):
    more = f"""
        [train]
        model_out = "model"
        images = ["{scene.image}"]
        labels = ["{scene.truth}"]
        slices_in = 6
        slices_out = 4
        widths = [4, 6]
        patch = 32
        batch = 1
        steps = 100000
    """
    here = place("training", more=more)
    command = started(here.folder, "train", "workflow.toml")
    command.until(lambda: "loss" in command.said)
    assert command.stop(signal.SIGTERM) == 143
    assert command.said.endswith(f"\n{STOPPED}")
    assert "Traceback" not in command.said
    assert owned(here.folder) == []

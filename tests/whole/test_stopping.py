"""A command that is told to end, by a batch system, a closed terminal or Ctrl-C, ends well."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from tests.whole.conftest import PATIENCE_S, SMALL

STOPPED = "volproc: stopped; finished blocks are kept, the same command goes on from here\n"
SIGNALS = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}


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


@pytest.mark.parametrize("number", SIGNALS)
def test_a_serial_run_ends_with_one_line(place, started, number):
    here = place("serial")
    command = started(here.folder, "run", "workflow.toml", "--quiet")
    command.until(lambda: here.events("BlockDone"))
    assert command.stop(number) == SIGNALS[number]
    assert command.said == STOPPED


@pytest.mark.dask
@pytest.mark.parametrize("everyone", [False, True])
@pytest.mark.parametrize("number", SIGNALS)
def test_workers_end_with_the_run_and_say_nothing(place, started, number, everyone):
    here = place("dask", kind="local")
    command = started(here.folder, "run", "workflow.toml", "--quiet")
    command.until(lambda: any(e["step"] == "predict" for e in here.events("BlockDone")))
    began = time.time()
    assert command.stop(number, everyone=everyone) == SIGNALS[number], command.said
    print("took", time.time() - began)
    assert command.said == STOPPED


@pytest.mark.dask
@pytest.mark.parametrize("everyone", [False, True])
def test_a_cluster_that_is_starting(place, started, everyone):
    here = place("starting", kind="local")
    command = started(here.folder, "run", "workflow.toml", "--quiet")
    command.until(command.children)
    began = time.time()
    assert command.stop(signal.SIGTERM, everyone=everyone) == 143, command.said
    print("took", time.time() - began)
    assert command.said == STOPPED

"""In processes of their own: a process that was told to end handles no further signal."""

import signal
import subprocess
import sys

import pytest

from volproc.cli.stopping import STOPPED

COMMAND = """
import os, signal, sys, time
import volproc.cli as cli
{background}

def work():
    {work}

cli.app = work
cli.main()
"""
TOLD = "os.kill(os.getpid(), signal.{name})"
FOREGROUND = "signal.signal(signal.SIGINT, signal.default_int_handler)"
SIGNALS = {"SIGTERM": 143, "SIGHUP": 129, "SIGINT": 130}


@pytest.fixture
def ended():
    """ended("the work", name): exit code and standard error of a command that does it."""

    def run(work, name):
        script = COMMAND.format(
            background=FOREGROUND, work=work.replace("TOLD", TOLD.format(name=name))
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False
        )
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_ends_with_one_line_and_its_exit_code(ended, name):
    assert ended("TOLD; time.sleep(600)", name) == (SIGNALS[name], f"volproc: {STOPPED}\n")


def test_what_goes_wrong_on_the_way_out_is_not_told(ended):
    work = """
    try:
        TOLD; time.sleep(600)
    finally:
        raise OSError('the connection is gone')"""
    assert ended(work, "SIGTERM") == (143, f"volproc: {STOPPED}\n")


@pytest.mark.parametrize("name", SIGNALS)
def test_a_second_signal_ends_at_once(ended, name):
    work = """
    try:
        TOLD; time.sleep(600)
    except KeyboardInterrupt:
        TOLD; time.sleep(600)"""
    assert ended(work, name) == (SIGNALS[name], f"volproc: {STOPPED}\n")


def test_who_hangs_on_the_way_out_is_ended(ended):
    work = """
    from volproc.cli import stopping
    stopping.GRACE_S = 0.1
    try:
        TOLD; time.sleep(600)
    finally:
        time.sleep(600)"""
    assert ended(work, "SIGTERM") == (143, f"volproc: {STOPPED}\n")


@pytest.mark.parametrize("name", SIGNALS)
def test_what_is_ignored_stays_so(name):
    """As `nohup` and shells do for commands in the background."""
    ignored = f"signal.signal(signal.{name}, signal.SIG_IGN)"
    script = COMMAND.format(background=ignored, work=TOLD.format(name=name) + "; sys.exit(7)")
    done = subprocess.run([sys.executable, "-c", script], timeout=240, check=False)
    assert done.returncode == 7


def test_handlers_are_given_back():
    from volproc.cli.stopping import stoppable

    before = signal.getsignal(signal.SIGTERM)
    with stoppable() as stop:
        assert signal.getsignal(signal.SIGTERM) is stop
    assert signal.getsignal(signal.SIGTERM) is before

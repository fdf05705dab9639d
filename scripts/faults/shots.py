"""A command of volproc in a forked process: warm at once, and free to be broken and killed.

What it imported and compiled is there already, so a command takes a fraction of a second.
"""

import itertools
import os
import signal
import sys
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch

LIMIT_S = 120
"""A command that takes longer hangs: the slowest takes 3 s on an idle machine."""
HUNG, BROKEN = 124, 99
_numbers = itertools.count(1)


class Hung(Exception):
    """A command went over its time."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal), and what it said."""

    code: int
    said: str

    @property
    def refusal(self):
        """Its one line, where that is how it ended; "" where it ended otherwise."""
        lines = [line for line in self.said.splitlines() if line.startswith("volproc: ")]
        plain = self.code > 0 and len(lines) == 1 and "Traceback" not in self.said
        return lines[0] if plain else ""


class Shot:
    """A command at work in `folder`. `faults` are called in its process before it starts."""

    def __init__(self, folder, arguments, *faults):
        self.folder, self.arguments = Path(folder), [str(a) for a in arguments]
        self.messages = self.folder / f"messages-{os.getpid()}-{next(_numbers)}.txt"
        self.pid = os.fork()
        if not self.pid:
            os._exit(self._run(faults))

    def _run(self, faults):
        os.chdir(self.folder)
        words = os.open(self.messages.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(words, 1)
        os.dup2(words, 2)
        sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.argv = ["volproc", *self.arguments]
        torch.set_num_threads(1)  # a forked process has lost the threads of its parent
        from volproc import cli

        try:
            for fault in faults:
                fault()
            cli.main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
            return BROKEN
        finally:
            sys.stdout.flush()
        return 0

    def ended(self, limit=LIMIT_S):
        """How it ended; Hung, and it is killed, where that takes too long."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return Ended(os.waitstatus_to_exitcode(status), self.messages.read_text())
            time.sleep(0.005)
        self.kill()
        raise Hung(f"{self.arguments}: no end in {limit} s: {self.messages.read_text()[-500:]}")

    def kill(self):
        """SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def in_this_process(folder, arguments):
    """Run a command here: what it imports and compiles, all shots after it have."""
    from volproc import cli

    before = os.getcwd()
    os.chdir(folder)
    sys.argv = ["volproc", *map(str, arguments)]
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
            cli.main()
        except SystemExit as end:
            if end.code:
                raise
    os.chdir(before)


def wait_for(path, limit=LIMIT_S):
    """Wait until a file is there; Hung where that takes too long."""
    end = time.monotonic() + limit
    while not Path(path).exists():
        if time.monotonic() > end:
            raise Hung(f"{path} does not come")
        time.sleep(0.005)

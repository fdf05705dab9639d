"""Disks and stores that fail now and then, the same way each time: for tests of every stage.

`flaky_disk` makes the calls of the operating system fail for files below a folder, `flaky_memory`
those of fsspec's memory://, each at a rate and with the errors that shared file systems and object
stores are known for. Nothing waits: pauses are counted instead.
"""

import builtins
import errno
import io
import os
import random
from collections import Counter
from contextlib import contextmanager
from unittest import mock

from fsspec.implementations.memory import MemoryFileSystem

from volproc import retry
from volproc.volume import presence

ERRORS = (
    lambda: OSError(errno.EIO, "Input/output error"),
    lambda: OSError(errno.ESTALE, "Stale file handle"),
    lambda: ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    lambda: TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
    lambda: OSError(errno.EBUSY, "Please reduce your request rate."),
)
READS, WRITES, LISTS = "read", "write", "list"
OF_SYSTEM = {
    "stat": LISTS,
    "scandir": LISTS,
    "listdir": LISTS,
    "replace": WRITES,
    "unlink": WRITES,
    "mkdir": WRITES,
}
OF_MEMORY = {
    "cat_file": READS,
    "pipe_file": WRITES,
    "rm_file": WRITES,
    "info": LISTS,
    "ls": LISTS,
    "_open": READS,
}


class Faults:
    """Fails at a rate; counts its faults by kind of call, and the pauses that they cost."""

    def __init__(self, rate, seed=0):
        self.rate = rate
        self.count = Counter()
        self.pauses = []
        self._dice = random.Random(seed)

    def may_fail(self, kind):
        if self._dice.random() < self.rate:
            self.count[kind] += 1
            raise self._dice.choice(ERRORS)()

    def sleep(self, seconds):
        self.pauses.append(seconds)

    async def sleep_async(self, seconds):
        self.sleep(seconds)


class FlakyFile:
    """A file whose reads and writes may fail, also in the middle."""

    def __init__(self, file, faults):
        self._file, self._faults = file, faults

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def __iter__(self):
        return iter(self._file)

    def read(self, *size):
        self._faults.may_fail(READS)
        return self._file.read(*size)

    def readinto(self, into):
        self._faults.may_fail(READS)
        return self._file.readinto(into)

    def write(self, content):
        if len(content) > 1:  # half of it is written when it fails
            half = len(content) // 2
            self._file.write(content[:half])
            self._faults.may_fail(WRITES)
            return half + self._file.write(content[half:])
        return self._file.write(content)


@contextmanager
def quick_pauses(faults):
    """Pauses between tries are counted, not made."""
    with (
        mock.patch.object(retry, "sleep", faults.sleep),
        mock.patch.object(retry, "sleep_async", faults.sleep_async),
        mock.patch.object(presence, "sleep", faults.sleep),
    ):
        yield faults


@contextmanager
def flaky_disk(folder, rate, *, seed=0):
    """Calls about files below `folder` fail at a rate."""
    faults = Faults(rate, seed)
    root = os.path.abspath(folder)

    def below(path):
        return isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(root)

    def failing(real, kind):
        def call(path, *given, **more):
            if below(path):
                faults.may_fail(kind)
            return real(path, *given, **more)

        return call

    real_open = io.open

    def opening(path, mode="r", *given, **more):
        if not below(path):
            return real_open(path, mode, *given, **more)
        faults.may_fail(READS if "r" in mode else WRITES)
        return FlakyFile(real_open(path, mode, *given, **more), faults)

    patches = [mock.patch.object(module, "open", opening) for module in (builtins, io)]
    for name, kind in OF_SYSTEM.items():
        patches.append(mock.patch.object(os, name, failing(getattr(os, name), kind)))
    with quick_pauses(faults), _all(patches):
        yield faults


@contextmanager
def flaky_memory(rate, *, seed=0):
    """Calls of fsspec's memory:// fail at a rate."""
    faults = Faults(rate, seed)

    def failing(real, kind):
        def call(self, *given, **more):
            faults.may_fail(kind)
            return real(self, *given, **more)

        return call

    patches = [
        mock.patch.object(MemoryFileSystem, name, failing(getattr(MemoryFileSystem, name), kind))
        for name, kind in OF_MEMORY.items()
    ]
    with quick_pauses(faults), _all(patches):
        yield faults


@contextmanager
def _all(patches):
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()

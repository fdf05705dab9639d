"""Signals that ask a command to end: Ctrl-C, SIGTERM of a batch system, SIGHUP of a terminal.

The first one ends what is under way like any error: records are written, workers and leases let
go. The second one ends the process at once.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = "stopped; finished blocks are kept, the same command goes on from here"
GRACE_S = 10.0
"""To end well; whoever hangs in a library or on a disk then is ended. Batch systems wait 30 s."""


class Stop:
    """What asked this process to end: `exit_code` is 128 and the signal's number, 0 before."""

    exit_code = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: KeyboardInterrupt the first time, the end of the process the second."""
        if self.exit_code:
            self._end_now()
        self.exit_code = 128 + number
        watchdog = threading.Timer(GRACE_S, self._end_now)
        watchdog.daemon = True
        watchdog.start()
        _hush()
        raise KeyboardInterrupt

    def _end_now(self) -> NoReturn:
        for child in multiprocessing.active_children():
            child.kill()
        os.write(2, f"volproc: {STOPPED}\n".encode())  # buffers may be locked by what is cut off
        os._exit(self.exit_code)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """What asked this process to end meanwhile, if anything does.

    Signals that are ignored stay so (`nohup`), and threads besides the main one cannot handle any.
    """
    stop = Stop()
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS if main}
    before = {number: held for number, held in before.items() if held != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield stop
    finally:
        for number, held in before.items() if not stop.exit_code else ():
            signal.signal(number, held)


def _hush() -> None:
    """Nobody hears of connections and workers that are lost on the way out."""
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None

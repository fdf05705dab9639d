"""The command line: words in, words out. Commands call the functions that Python users call.

Those are imported when first used (see `volproc`), so that --help does not wait for torch.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from volproc.cli import (
    cluster_commands,
    fix_commands,
    model_commands,
    view_commands,
    volume_commands,
    workflow_commands,
)
from volproc.cli.app import app
from volproc.cli.stage_commands import add_commands
from volproc.cli.stopping import STOPPED, stoppable
from volproc.config.options import RenamedOptionWarning
from volproc.credentials import masked
from volproc.errors import REPORT, VolprocError
from volproc.faults import IN_THE_LOG, WAY_OUT, fault_of, first_line, is_transient, notes_of
from volproc.terminal import fail, note

__all__ = [
    "app",
    "cluster_commands",
    "fix_commands",
    "main",
    "model_commands",
    "view_commands",
    "volume_commands",
    "workflow_commands",
]

add_commands()


def main() -> None:
    """Run the command line; any error a user can mend is one line and exit code 2, a bug code 1.

    Stopped by a signal, it is one line too, and 128 and the number of the signal.
    """
    warnings.showwarning = partial(_show_warning, warnings.showwarning)
    with stoppable() as stop:
        try:
            _run_app()
        except BaseException as end:
            if stop.exit_code and getattr(end, "code", 1) != 0:
                fail(STOPPED, stop.exit_code)  # whatever went wrong on the way out
            if isinstance(end, VolprocError):
                fail(str(end), 1 if is_transient(end) else end.exit_code)
            if isinstance(end, Exception):
                _fail_unforeseen(end)
            raise


def _run_app() -> None:
    """Run the command; of processes that torchrun started only the first one, others help train."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        app()
        return
    from volproc.stages.train import companions  # takes seconds: torch

    if companions.is_companion():
        from volproc.stages.train.companion import serve

        serve()
        return
    try:
        app()
    finally:
        companions.dismiss()


def _show_warning(show: Callable[..., None], message: Warning | str, *about: Any) -> None:
    """Say in a line what a user should know; show what libraries warn of as ever."""
    if isinstance(message, RenamedOptionWarning):
        note(str(message))
    else:
        show(message, *about)


def _fail_unforeseen(error: Exception) -> NoReturn:
    """What nobody has put into a line: a disk or a network that no border was put to, or a bug."""
    fault = fault_of(error)
    if fault:
        fail(f"{first_line(error)}; {WAY_OUT[fault]}", 1 if fault == "transient" else 2)
    if IN_THE_LOG not in notes_of(error):
        sys.stderr.write(masked(traceback.format_exc()))
    fail(f"{type(error).__name__}: {first_line(error)}; {REPORT}", 1)

"""How far a block is that takes hours, told from wherever it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Report = Callable[[int, int, str], None]
"""Called with how many of how many parts are done, and more words on it."""


def _nobody(done: int, total: int, said: str) -> None:
    """Nobody wants to know."""


_report: ContextVar[Report] = ContextVar("report", default=_nobody)


def report(done: int, total: int, said: str = "") -> None:
    """Say how far the block is that this thread does."""
    _report.get()(done, total, said)


@contextmanager
def reporting_to(report: Report) -> Iterator[None]:
    """Within it, that is what `report` calls."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)

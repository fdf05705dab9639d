"""Whether a plan is made for GPUs: those of this machine, or of workers elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_elsewhere: ContextVar[bool | None] = ContextVar("elsewhere", default=None)


def gpus_elsewhere() -> bool | None:
    """Whether the workers that are planned for have GPUs; None where they are of this machine."""
    return _elsewhere.get()


@contextmanager
def planned_for(gpus: bool | None) -> Iterator[None]:
    """Within it plans are for workers elsewhere, with or without GPUs; None: of this machine."""
    token = _elsewhere.set(gpus)
    try:
        yield
    finally:
        _elsewhere.reset(token)

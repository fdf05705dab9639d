"""What travels to a Dask worker and back: a task in bytes of our own, and what the worker runs on.

Dask unpickles what it is given before any code of ours runs, and a worker that cannot do so answers
nothing: the run would wait for ever. So Dask is given `pickle.loads` and bytes. Loading them is a
call of `do_packed`, which compares versions first and makes an outcome of whatever fails.
"""

from __future__ import annotations

import pickle
import platform
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from distributed import get_worker
from distributed.protocol.pickle import dumps, loads

import volproc
from volproc.engine.protocol import Outcome, do_block, failed
from volproc.grid.blocks import Block

PACKAGES = ("dask", "distributed", "numpy", "torch", "zarr", "numba")
"""Of another version of these a worker may write other voxels, or not understand its task."""

load = pickle.loads


@dataclass(frozen=True)
class Reply:
    """From the worker at an address: a block's outcome, or how its versions differ."""

    worker: str
    outcome: Outcome | None = None
    misfit: str = ""


class _Call:
    """Pickles as a call, made by who loads it."""

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self.call = function, given

    def __reduce__(self) -> Any:
        return self.call


def packed(task: Any) -> bytes:
    """A task as bytes."""
    content: bytes = dumps(task)
    return content


def block_call(task: bytes, block: Block) -> bytes:
    """What a worker loads to do a block and reply."""
    return pickle.dumps(_Call(do_packed, versions(), task, pickle.dumps(block)))


def versions_call() -> bytes:
    """What a worker loads to tell its versions."""
    return pickle.dumps(_Call(versions))


def do_packed(expected: dict[str, str], task: bytes, block: bytes) -> Reply:
    """A block done by a task, where this process runs on what the client runs on."""
    worker = get_worker().address
    misfit = difference(expected, versions())
    if misfit:
        return Reply(worker, misfit=misfit)
    here: Block = pickle.loads(block)
    try:
        done = loads(task)
    except Exception as error:
        about = ", ".join(map(" ".join, versions().items()))
        doing = f"the worker {worker} on {socket.gethostname()} ({about}) cannot load the task: "
        return Reply(worker, failed(here, error, doing=doing))
    return Reply(worker, do_block(done, here))


@cache
def versions() -> dict[str, str]:
    """What this process runs on. Nothing is imported for it: torch takes seconds."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    found["volproc"] = volproc.__version__
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def difference(here: dict[str, str], there: dict[str, str]) -> str:
    """How a worker's versions differ from the client's; empty if they do not.

    >>> difference({"numpy": "2.2", "zarr": "3.1"}, {"numpy": "2.3", "zarr": "3.1"})
    'numpy 2.3 (here 2.2)'
    """
    other = {name: there.get(name, "none") for name in here}
    return ", ".join(
        f"{name} {other[name]} (here {version})"
        for name, version in here.items()
        if other[name] != version
    )

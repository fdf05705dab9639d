"""The wire format between client and Dask workers: a task as bytes, and the worker's versions.

Dask unpickles its arguments before any code of ours runs, and a worker that cannot do so never
replies: the run would wait for ever. So Dask gets `pickle.loads` and bytes. Loading them calls
`do_packed`, which compares versions first and turns whatever fails into an outcome.

    client                                     worker
    block_call(task, block)  ── Dask, bytes ──▶ pickle.loads = do_packed(versions, task, block)
    Reply(worker, outcome or misfit) ◀─────────
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
"""With another version of these a worker may write other voxels, or not understand its task."""

load = pickle.loads


@dataclass(frozen=True)
class Reply:
    """From the worker at an address: the outcome of a block, or how its versions differ."""

    worker: str
    outcome: Outcome | None = None
    misfit: str = ""


class _Call:
    """Pickles as a call, which is made by whoever loads it."""

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self.call = function, given

    def __reduce__(self) -> Any:
        return self.call


def packed(task: Any) -> bytes:
    """A task as bytes."""
    content: bytes = dumps(task)
    return content


def block_call(task: bytes, block: Block) -> bytes:
    """The bytes that make a worker do a block and reply."""
    return pickle.dumps(_Call(do_packed, versions(), task, pickle.dumps(block)))


def versions_call() -> bytes:
    """The bytes that make a worker report its versions."""
    return pickle.dumps(_Call(versions))


def do_packed(expected: dict[str, str], task: bytes, block: bytes) -> Reply:
    """A task's block, done if this process has the client's versions."""
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
    """The versions of this process' packages. None is imported for it: torch takes seconds."""
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

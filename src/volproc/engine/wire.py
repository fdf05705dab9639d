"""The wire format between client and Dask workers: a task as bytes, and what its worker must have.

Dask unpickles its arguments before any code of ours runs, and a worker that cannot do so never
replies: the run would wait for ever. So Dask gets `pickle.loads` and bytes. Loading them calls
`do_packed`, which looks first whether the worker fits, and turns whatever fails into an outcome.

    client                                        worker
    block_call(expected, task, block) ── bytes ──▶ pickle.loads = do_packed(expected, task, block)
    Reply(worker, outcome or misfit) ◀── topic ───

The reply is an event of the step's topic, and the result of Dask's task for where that is lost.
"""

from __future__ import annotations

import os
import pickle
import platform
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import metadata
from typing import Any

from distributed import get_worker
from distributed.protocol.pickle import dumps, loads

import volproc
from volproc.config.devices import why_no_gpu
from volproc.credentials import secrets_here
from volproc.engine.memory import human
from volproc.engine.protocol import Outcome, do_block, failed
from volproc.engine.reporting import reporting_to
from volproc.grid.blocks import Block
from volproc.lease import Lease, current

PACKAGES = ("dask", "distributed", "numpy", "torch", "zarr", "numba")
"""With another version of these a worker may write other voxels, or not understand its task."""

load = pickle.loads
DEVICE_LOST = (
    *("device-side assert", "illegal memory access", "unspecified launch failure"),
    *("misaligned address", "illegal instruction", "uncorrectable ECC error"),
)
"""What CUDA says when every later call of the process fails, too (cudaError_t in its manual)."""
PROGRESS, REPLY = "progress", "reply"
"""The events of a step's topic, with what follows: how far a block is; a key and its reply."""


@dataclass(frozen=True)
class Reply:
    """From the worker at an address: the outcome of a block, or what keeps it from doing any."""

    worker: str
    outcome: Outcome | None = None
    misfit: str = ""


@dataclass(frozen=True)
class Expected:
    """What a worker must have to do a step's blocks."""

    versions: dict[str, str]
    folder: str
    """Where the client works: relative paths are seen from there."""
    leases: tuple[Lease, ...] = ()
    """Of what is written; the worker must see their files."""
    environment: dict[str, str] = field(default_factory=dict)
    """Set where the worker does not say otherwise, before a library is imported."""
    topic: str = ""
    """Dask's topic under which blocks report how far they are, and workers reply."""
    bytes: int = 0
    """Memory that the step needs."""
    gpu: bool = False

    def misfit(self) -> str:
        """What this process lacks, in words; "" if it fits."""
        if wrong := other_versions(self.versions, versions()):
            return wrong
        if self.gpu and (why := why_no_gpu()):
            return f"it sees no GPU, which this step needs ({why}); ask for one in [cluster.gpu]"
        limit = get_worker().memory_manager.memory_limit
        if limit and limit < self.bytes:
            return f"it has {human(limit)} of memory, the step needs {human(self.bytes)}"
        with suppress(OSError):  # where all paths are absolute the folder need not be there
            if os.getcwd() != self.folder:
                os.chdir(self.folder)
        for name, value in self.environment.items():
            os.environ.setdefault(name, value)
        unseen = next((lease.root for lease in self.leases if not _sees(lease)), "")
        if unseen:
            return f"it does not see {unseen}; choose an output that all workers share"
        return ""


def expected(*, environment: dict[str, str], **more: Any) -> Expected:
    """What a worker must have for blocks that this thread sends; it is lent the URLs' secrets."""
    environment = {**environment, **secrets_here()}
    return Expected(versions(), os.getcwd(), current(), environment, **more)


@cache
def _sees(lease: Lease) -> bool:
    return lease.seconds_until_seen() is not None


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


def block_call(needed: Expected, task: bytes, block: Block, key: str) -> bytes:
    """The bytes that make a worker do a block and reply under `key`."""
    return pickle.dumps(_Call(do_packed, needed, task, pickle.dumps(block), key))


def reply(content: bytes) -> Reply:
    """What a worker has published."""
    found: Reply = loads(content)
    return found


def versions_call() -> bytes:
    """The bytes that make a worker report its versions."""
    return pickle.dumps(_Call(versions))


def do_packed(needed: Expected, task: bytes, block: bytes, key: str) -> Reply:
    """A task's block, done if this process has what is needed; the reply is published too."""
    reply = _done(needed, task, block)
    get_worker().log_event(needed.topic, (REPLY, key, dumps(reply)))
    return reply


def _done(needed: Expected, task: bytes, block: bytes) -> Reply:
    worker = get_worker().address
    misfit = needed.misfit()
    if misfit:
        return Reply(worker, misfit=misfit)
    here: Block = pickle.loads(block)
    try:
        done = loads(task)
    except Exception as error:
        about = ", ".join(map(" ".join, versions().items()))
        doing = f"the worker {worker} on {socket.gethostname()} ({about}) cannot load the task: "
        return Reply(worker, failed(here, error, doing=doing))
    tell = partial(_tell, needed.topic)
    with reporting_to(tell):
        outcome = do_block(done, here)
    if lost_device(outcome) and get_worker().nanny:
        # without a nanny nobody would restart it, and it may be a thread of the client
        sys.stderr.write(f"volproc: this worker ends: {outcome.failure}\n")
        sys.stderr.flush()
        os._exit(1)
    return Reply(worker, outcome)


def lost_device(outcome: Outcome) -> bool:
    """Whether the block broke its process' CUDA context, so that only a new process can go on."""
    said = f"{outcome.failure or ''}{outcome.trace}"
    return "CUDA" in said and any(words in said for words in DEVICE_LOST)


def _tell(topic: str, *report: Any) -> None:
    get_worker().log_event(topic, (PROGRESS, *report))


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


def other_versions(here: dict[str, str], there: dict[str, str]) -> str:
    """How a worker's versions differ from the client's, and what to do; "" if they do not.

    >>> other_versions({"numpy": "2.2", "zarr": "3.1"}, {"numpy": "2.3", "zarr": "3.1"})
    'it has numpy 2.3 (here 2.2); install the same versions there'
    """
    found = {name: there.get(name, "none") for name in here}
    wrong = ", ".join(
        f"{name} {found[name]} (here {version})"
        for name, version in here.items()
        if found[name] != version
    )
    return f"it has {wrong}; install the same versions there" if wrong else ""

"""GPUs: whether a plan is made for any, and whether this process can use one.

A plan says of each step whether it runs on a GPU (`Step.on_gpu`), for workers elsewhere or of this
machine. Workers obey: what was planned for a CPU runs on the CPU where there is a GPU, too, as its
memory was planned for that; what was planned for a GPU fails in one line where there is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ctypes import CDLL
from pathlib import Path
from typing import TYPE_CHECKING

from volproc.faults import first_line
from volproc.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

NO_DRIVER = "no driver of a GPU is installed"

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


def why_no_gpu() -> str:
    """Why this process sees no GPU, in torch's words where it has some; "" where it sees one.

    Takes no memory of the GPU. Torch takes a second to come, so it is asked only where there is a
    driver.
    """
    if not _has_driver():
        return NO_DRIVER
    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None and torch.version.hip is None:
        return "this torch was built for CPUs only"
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "CUDA_VISIBLE_DEVICES hides all GPUs"
    try:  # it warns of its reason only once
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return first_line(error).removesuffix(".")
    return "torch does not say why"


def why_unusable() -> str:
    """The same, or why torch has no kernels for the GPU: for a process that computes on it."""
    if why := why_no_gpu():
        return why
    given, built = torch.cuda.get_device_capability(), torch.cuda.get_arch_list()
    if not built or any(_runs(arch, given) for arch in built):
        return ""
    version = ".".join(map(str, given))
    return (
        f"it has no kernels for {torch.cuda.get_device_name()} of compute capability {version}, "
        f"only for {', '.join(built)}; install a torch that was built for it"
    )


def _runs(arch: str, capability: tuple[int, int]) -> bool:
    """Whether a GPU runs code for `arch`: machine code of its generation, or what it compiles.

    >>> _runs("sm_80", (8, 6)), _runs("sm_80", (9, 0)), _runs("compute_80", (9, 0))
    (True, False, True)
    """
    kind, _, number = arch.partition("_")
    digits = "".join(filter(str.isdigit, number))
    if kind not in ("sm", "compute") or not digits:  # AMD's names: nothing is known of them
        return True
    built = int(digits[:-1]), int(digits[-1])
    same_generation = kind == "compute" or built[0] == capability[0]
    return same_generation and built <= capability and (number == digits or built == capability)


def _has_driver() -> bool:
    """Whether there is NVIDIA's library, or AMD's device: torch sees no GPU without either."""
    try:
        CDLL("libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()
    return True

"""Arrays of the CPU (numpy, scipy.ndimage) or of a GPU (cupy, cupyx.scipy.ndimage): one kernel.

    found = run_on("cuda", smoothed, values)       values and what comes back are numpy's

    def smoothed(values):
        return namespace_of(values).ndimage.median_filter(values, size=3)

cupy works beside torch: on torch's stream, so that neither has to wait for the other; in memory of
torch's pool, which then counts both (torch.cuda.memory_allocated); on torch's tensors by DLPack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from volproc.config.devices import gpus_elsewhere
from volproc.engine.memory import human
from volproc.errors import INSTALL, ConfigError, MemoryLimitError
from volproc.faults import first_line
from volproc.lazy import lazy
from volproc.model.device import device_for
from volproc.stages.inference.device_link import free_bytes, is_out_of_memory

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

Device = Literal["cpu", "cuda"]
"""Where a stage computes, as its table says."""
EXTRAS = {12: "gpu", 13: "gpu13"}
"""By the major version of CUDA that torch was built for."""


@dataclass(frozen=True)
class ArrayNamespace:
    """The functions of one kind of arrays: `xp` as in numpy, `ndimage` as in scipy."""

    xp: ModuleType
    ndimage: ModuleType


def namespace_of(values: Any) -> ArrayNamespace:
    """The functions for arrays like `values`: numpy's, or cupy's for what is on a GPU."""
    if isinstance(values, np.ndarray):
        from scipy import ndimage

        return ArrayNamespace(np, ndimage)
    return _on_gpu()


def run_on(
    device: Device, kernel: Callable[..., Any], *values: npt.NDArray[Any], **options: Any
) -> npt.NDArray[Any]:
    """What `kernel` makes of arrays, computed on `device`; on "cpu" it is just called.

    ConfigError where there is no cupy that works; MemoryLimitError where the GPU is too small.
    """
    if device == "cpu":
        return cast("npt.NDArray[Any]", kernel(*values, **options))
    cupy = _on_gpu().xp
    try:
        with _beside_torch(cupy):
            there = [_to_gpu(one, cupy) for one in values]
            return cast("npt.NDArray[Any]", cupy.asnumpy(kernel(*there, **options)))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        sizes = " x ".join(map(str, values[0].shape))
        raise MemoryLimitError(
            f"{kernel.__name__} of {sizes} voxels does not fit on the GPU, which has "
            f'{human(free_bytes())} left; make the block smaller, or take device = "cpu"'
        ) from None


def require_device(device: Device, *, table: str) -> Device:
    """`device`, looked at before anything is read; ConfigError where `[table]` cannot have it.

    On workers elsewhere cupy is looked for when they begin.
    """
    if device == "cuda":
        device_for("cuda", table=table)
        if gpus_elsewhere() is None:
            _matching_cupy()
    return device


@cache
def _on_gpu() -> ArrayNamespace:
    """cupy, once it has computed something: that takes a driver and CUDA's compiler."""
    cupy = _matching_cupy()
    from cupyx.scipy import ndimage

    try:
        with _beside_torch(cupy):
            cupy.asnumpy(cupy.full(2, 1) + 1)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ConfigError(
            f"cupy {cupy.__version__} cannot compute here: {first_line(error)}; cupy-cuda"
            f'{_cuda_of(cupy)}x[ctk] brings what it compiles with, or take device = "cpu"'
        ) from None
    return ArrayNamespace(cupy, ndimage)


def _matching_cupy() -> ModuleType:
    """cupy with a driver, for the CUDA of torch: both are in one process; else ConfigError."""
    wanted = int((torch.version.cuda or "0").split(".")[0])
    if wanted not in EXTRAS:
        raise ConfigError(
            f'device = "cuda" computes by cupy, for CUDA {" or ".join(map(str, EXTRAS))}, but '
            f'torch is built for {_built_for()}; install such a torch, or take device = "cpu"'
        )
    install = INSTALL.format(EXTRAS[wanted])
    cupy = _imported_cupy(install)
    found = _cuda_of(cupy)
    if found != wanted:
        raise ConfigError(
            f"cupy {cupy.__version__} is built for CUDA {found}, torch for CUDA {wanted}: pip "
            f'uninstall cupy-cuda{found}x; {install}; or take device = "cpu"'
        )
    try:
        cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        raise ConfigError(
            f"cupy {cupy.__version__} finds no driver that it can use: {first_line(error)}; "
            'renew the driver, or take device = "cpu"'
        ) from None
    return cupy


def _imported_cupy(install: str) -> ModuleType:
    try:
        import cupy
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        # its own text is a page on what may be the reason
        reason = first_line(error.__cause__ or error)
        why = "is not installed" if missing else f"cannot be loaded: {reason}"
        raise ConfigError(
            f'device = "cuda" computes by cupy, which {why}; {install}, or take device = "cpu"'
        ) from None
    return cast("ModuleType", cupy)


def _built_for() -> str:
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"


def _cuda_of(cupy: Any) -> int:
    """The major version of CUDA that cupy was built for."""
    return int(cupy.cuda.runtime.runtimeGetVersion()) // 1000


@dataclass(frozen=True)
class _TorchStream:
    """torch's stream in the words of CUDA's stream protocol, which not every torch knows."""

    pointer: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.pointer


@contextmanager
def _beside_torch(cupy: Any) -> Iterator[None]:
    """Within it cupy is on torch's device and stream, and takes memory from torch's pool."""
    stream = _TorchStream(torch.cuda.current_stream().cuda_stream)
    pool = cupy.cuda.PythonFunctionAllocator(_allocate, _free)
    with (
        cupy.cuda.Device(torch.cuda.current_device()),
        cupy.cuda.Stream.from_external(stream),
        cupy.cuda.using_allocator(pool.malloc),
    ):
        yield


def _allocate(nbytes: int, device: int) -> int:
    pointer: int = torch.cuda.caching_allocator_alloc(
        nbytes, device, torch.cuda.current_stream(device).cuda_stream
    )
    return pointer


def _free(pointer: int, device: int) -> None:
    torch.cuda.caching_allocator_delete(pointer)  # type: ignore[no-untyped-call]


def _to_gpu(values: npt.NDArray[Any], cupy: Any) -> Any:
    """A copy on the GPU. As bytes, because torch and DLPack lack some of numpy's types."""
    # writable: torch warns of what is not, though it only reads it
    data = np.require(values, requirements=["C", "W"]).reshape(-1).view(np.uint8)
    there = torch.from_numpy(data).to("cuda")
    return cupy.from_dlpack(there).view(values.dtype).reshape(values.shape)

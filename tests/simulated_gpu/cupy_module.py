"""cupy on a simulated GPU: what volproc uses of it, and no more; values are in numpy's arrays.

    with simulated_cupy() as cupy:
        ...                         import cupy, cupyx.scipy.ndimage

As the real one it never mixes with numpy's arrays. Beyond that it refuses what would be a race or
a second pool: any work that is not on torch's current stream, any array outside torch's memory.
Its names and parameters are compared with those of the real one (cupy_signatures.json).
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from tests.simulated_gpu.gpus import GRAIN, gpus
from tests.simulated_gpu.streams import SimulatedFault, Stream
from tests.simulated_gpu.tensors import SimulatedTensor


class _Current(threading.local):
    """What this thread has chosen."""

    stream: int | None = None
    malloc: Callable[[int], int] | None = None


_current = _Current()


def _at_work() -> None:
    """Any operation: SimulatedFault unless cupy is on torch's stream and in torch's memory."""
    if _current.stream != torch.cuda.current_stream().cuda_stream:
        raise SimulatedFault("cupy works on another stream than torch: neither waits for the other")
    if _current.malloc is None:
        raise SimulatedFault("cupy takes memory from a pool of its own, which torch does not count")


def _held(value: Any) -> Any:
    """The values that an operation works on; numpy's arrays are refused, as cupy does."""
    if isinstance(value, ndarray):
        return value.held
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (tuple, list)):
        return type(value)(map(_held, value))
    return value


def _made(values: Any) -> Any:
    """The result of an operation, in memory of its own."""
    if isinstance(values, tuple):
        return tuple(map(_made, values))
    array = ndarray(np.asarray(values))
    _at_work()
    assert _current.malloc
    memory = _current.malloc(array.held.nbytes)
    array.memory = memory
    return array


class _Memory:
    """Is given back when nobody refers to it any more."""

    def __init__(self, pointer: int, free: Callable[[int, int], None], device: int) -> None:
        weakref.finalize(self, free, pointer, device).atexit = False


class ndarray:
    """Stands for cupy.ndarray."""

    __array_ufunc__ = None
    memory: Any = None

    def __init__(self, held: np.ndarray) -> None:
        self.held = held

    def _view(self, held: np.ndarray) -> ndarray:
        view = ndarray(held)
        view.memory = self.memory
        return view

    def __array__(self, dtype: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    shape = property(lambda self: self.held.shape)
    dtype = property(lambda self: self.held.dtype)
    size = property(lambda self: self.held.size)
    T = property(lambda self: self._view(self.held.T))

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[ndarray]:
        return (self[n] for n in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.held)

    def __int__(self) -> int:
        return int(self.held)

    def __getitem__(self, key: Any) -> Any:
        found = self.held[_held(key)]
        is_view = isinstance(found, np.ndarray) and np.shares_memory(found, self.held)
        return self._view(found) if is_view else _made(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        _at_work()
        self.held[_held(key)] = _held(value)

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        return _made(self.held.astype(dtype))

    def copy(self, order="C"):
        return _made(self.held.copy(order))

    def view(self, dtype=None, type=None):
        return self._view(self.held.view(dtype))

    def reshape(self, *shape, order="C", copy=None):
        found = self.held.reshape(*shape)
        return self._view(found) if np.shares_memory(found, self.held) else _made(found)

    def any(self, axis=None, out=None, keepdims=False):
        return _made(self.held.any(axis))

    def min(self, axis=None, out=None, keepdims=False):
        return _made(self.held.min(axis))

    def max(self, axis=None, out=None, keepdims=False):
        return _made(self.held.max(axis))

    def clip(self, min=None, max=None, out=None):
        return _made(self.held.clip(min, max))


def _operators() -> Iterator[tuple[str, Callable[..., Any]]]:
    def of(name: str) -> Callable[..., Any]:
        def operator(self: ndarray, *other: Any) -> Any:
            return _made(getattr(self.held, name)(*map(_held, other)))

        return operator

    def in_place(name: str) -> Callable[..., Any]:
        def operator(self: ndarray, other: Any) -> ndarray:
            _at_work()
            getattr(self.held, name)(_held(other))
            return self

        return operator

    both = ("add", "sub", "mul", "mod", "and", "or", "xor")
    for name in (*both, *(f"r{one}" for one in both), "lt", "le", "gt", "ge", "eq", "ne", "invert"):
        yield f"__{name}__", of(f"__{name}__")
    for name in both:
        yield f"__i{name}__", in_place(f"__i{name}__")


for _name, _operator in _operators():
    setattr(ndarray, _name, _operator)


def _ufunc(plain: np.ufunc) -> Callable[..., Any]:
    def ufunc(*values: Any, out: ndarray | None = None) -> Any:
        _at_work()
        held = [_held(one) for one in values]
        if out is None:
            return _made(plain(*held))
        plain(*held, out=out.held)
        return out

    return ufunc


minimum, maximum, rint, divmod = map(_ufunc, (np.minimum, np.maximum, np.rint, np.divmod))
inf = np.inf


def full(shape, fill_value, dtype=None, order="C"):
    return _made(np.full(shape, fill_value, dtype))


def zeros(shape, dtype=float, order="C"):
    return _made(np.zeros(shape, dtype))


def arange(start, stop=None, step=1, dtype=None):
    return _made(np.arange(start, stop, step, dtype) if stop is not None else np.arange(start))


def where(condition, x=None, y=None):
    return _made(np.where(*map(_arrays_only, (condition,)), _held(x), _held(y)))


def _arrays_only(value: Any) -> Any:
    if not isinstance(value, ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return value.held


def flatnonzero(a):
    return _made(np.flatnonzero(_arrays_only(a)))


def pad(array, pad_width, mode="constant", **kwargs):
    return _made(np.pad(_arrays_only(array), pad_width, mode, **kwargs))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    _at_work()
    return _arrays_only(a).copy()


def from_dlpack(array, *, device=None, copy=None):
    """The memory of a tensor, which is there as long as this array is."""
    _at_work()
    assert isinstance(array, SimulatedTensor), "DLPack hands over what is on a GPU"
    gpus.memory_of(array.held).used(torch.cuda.current_stream(), write=False, what="from_dlpack")
    shared = ndarray(array.held.numpy())
    shared.memory = array
    return shared


def median_filter(
    input, size=None, footprint=None, output=None, mode="reflect", cval=0.0, origin=0, axes=None
):
    return _made(ndimage.median_filter(_arrays_only(input), size, mode=mode, axes=axes))


def gaussian_filter(
    input,
    sigma,
    order=0,
    output=None,
    mode="reflect",
    cval=0.0,
    truncate=4.0,
    radius=None,
    axes=None,
):
    found = input
    for axis in range(input.held.ndim) if axes is None else axes:
        x = np.arange(-radius, radius + 1)
        weights = np.exp(-0.5 / (sigma * sigma) * x**2)
        weights = _made(weights / weights.sum())
        found = correlate1d(found, weights, axis, output, mode, cval)
    return found


def correlate1d(input, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    """As cupyx: added up in the type of the input, or float32 at least (scipy: float64)."""
    values, taps = _arrays_only(input), _arrays_only(weights)
    wide = np.promote_types(values.dtype, np.float32)
    radius = len(taps) // 2
    margin = [(radius, radius) if at == axis % values.ndim else (0, 0) for at in range(values.ndim)]
    padded, total = np.pad(values, margin, mode="symmetric"), np.zeros(values.shape, wide)
    for n, weight in enumerate(taps.astype(wide)):
        here = (slice(None),) * (axis % values.ndim) + (slice(n, n + values.shape[axis]),)
        total += padded[here].astype(wide) * weight
    return _made(total.astype(output or values.dtype))


@contextmanager
def _chosen(name: str, value: Any) -> Iterator[None]:
    before = getattr(_current, name)
    setattr(_current, name, value)
    try:
        yield
    finally:
        setattr(_current, name, before)


class _ExternalStream:
    def __init__(self, pointer: int) -> None:
        self.ptr = pointer

    def __enter__(self) -> None:
        self._chosen = _chosen("stream", self.ptr)
        self._chosen.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._chosen.__exit__(None, None, None)

    @classmethod
    def from_external(cls, obj: Any) -> _ExternalStream:
        _, pointer = obj.__cuda_stream__()
        return cls(pointer)


class _Device:
    def __init__(self, device: int | None = None) -> None:
        self.id = device

    def __enter__(self) -> None:
        assert self.id == torch.cuda.current_device(), "cupy computes on another GPU than torch"

    def __exit__(self, *error: Any) -> None:
        pass


class _PythonFunctionAllocator:
    def __init__(
        self, malloc_func: Callable[[int, int], int], free_func: Callable[[int, int], None]
    ) -> None:
        self._malloc, self._free = malloc_func, free_func

    def malloc(self, size: int) -> _Memory:
        device = torch.cuda.current_device()
        return _Memory(self._malloc(size, device), self._free, device)


def _using_allocator(allocator: Any = None) -> Any:
    return _chosen("malloc", allocator)


@contextmanager
def simulated_cupy(*, cuda: int = 12, torch_cuda: str = "12.8") -> Iterator[ModuleType]:
    """Within it `import cupy` finds this one, built for CUDA `cuda`, and a torch for another."""
    cupy, modules = _modules(cuda)
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setitem(sys.modules, module.__name__, module)
        patch.setattr(torch.version, "cuda", torch_cuda)
        patch.setattr(Stream, "cuda_stream", property(id), raising=False)
        for name, value in _torchs_pool().items():
            patch.setattr(torch.cuda, name, value)
        yield cupy


def _modules(cuda: int) -> tuple[ModuleType, list[ModuleType]]:
    names = ("cupy", "cupy.cuda", "cupy.cuda.runtime", "cupyx", "cupyx.scipy")
    cupy, of_cuda, runtime, cupyx, scipy = map(ModuleType, names)
    filters = ModuleType("cupyx.scipy.ndimage")
    cupy.__version__ = "14.2.0"
    for name in FUNCTIONS["cupy"]:
        setattr(cupy, name, globals()[name])
    for name in FUNCTIONS["cupyx.scipy.ndimage"]:
        setattr(filters, name, globals()[name])
    cupy.ndarray, cupy.inf, cupy.cuda, of_cuda.runtime = ndarray, inf, of_cuda, runtime
    cupyx.scipy, scipy.ndimage = scipy, filters
    of_cuda.Device, of_cuda.Stream = _Device, _ExternalStream
    of_cuda.PythonFunctionAllocator = _PythonFunctionAllocator
    of_cuda.using_allocator = _using_allocator
    runtime.getDeviceCount = torch.cuda.device_count
    runtime.runtimeGetVersion = lambda: 1000 * cuda + 90
    return cupy, [cupy, of_cuda, runtime, cupyx, scipy, filters]


FUNCTIONS = {
    "cupy": (
        *("arange", "asnumpy", "divmod", "flatnonzero", "from_dlpack", "full", "maximum"),
        *("minimum", "pad", "rint", "where", "zeros"),
    ),
    "cupyx.scipy.ndimage": ("correlate1d", "gaussian_filter", "median_filter"),
}
"""All that there is, by module, besides arrays and cupy.cuda."""


def _torchs_pool() -> dict[str, Callable[..., Any]]:
    """torch's memory for others, counted by the simulated GPU."""
    given: dict[int, int] = {}
    pointers = count(GRAIN, GRAIN)

    def allocate(size: int, device: int | None = None, stream: Any = None) -> int:
        nbytes, index = -(-size // GRAIN) * GRAIN, device or 0
        gpus.require(index, nbytes)
        pointer = next(pointers)
        given[pointer] = nbytes
        gpus.each[index].allocated += nbytes
        return pointer

    def delete(mem_ptr: int) -> None:
        gpus.each[0].allocated -= given.pop(mem_ptr)

    return {"caching_allocator_alloc": allocate, "caching_allocator_delete": delete}

"""Tensors of simulated GPUs: torch takes them for CUDA's, their values are in the host's memory.

Each operation comes to `SimulatedTensor.__torch_dispatch__` below autocast and autograd, which are
torch's own, is refused where CUDA would refuse it, and is done by the CPU in the same dtype.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from tests.simulated_gpu.gpus import gpus
from tests.simulated_gpu.streams import Stream, caller, timeline
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
INDEXED_BY_THE_HOST = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default}
WAITS = {
    *(aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default),
    *(aten.equal.default, aten.is_nonzero.default, aten._unique2.default),
}
"""Operations whose result the host needs."""


class SimulatedTensor(Tensor):
    """A tensor of a simulated GPU; `held` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor, index: int) -> SimulatedTensor:
        gpus.allocate(held, index)
        with torch.inference_mode(False):  # views of plain tensors have to be plain, too
            made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls,
                held.shape,
                strides=held.stride(),
                storage_offset=held.storage_offset(),
                dtype=held.dtype,
                device=f"cuda:{index}",
                requires_grad=False,
            )
        made.held = held
        return made

    def __init__(self, held: Tensor, index: int) -> None:
        pass

    def __repr__(self, **_: Any) -> str:
        return f"SimulatedTensor({tuple(self.shape)}, {self.dtype}, {self.device})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.__reduce_ex__(protocol)  # `tag` says where its storage is

    def __deepcopy__(self, memo: dict[int, Any]) -> SimulatedTensor:
        # torch's would copy `held` beside: memory that no GPU has given out
        copied = self.detach().clone().requires_grad_(self.requires_grad)
        if isinstance(self, nn.Parameter):
            copied._is_param = True  # type: ignore[attr-defined]
        memo[id(self)] = copied
        return copied  # type: ignore[return-value]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with timeline.lock:
            return _done(func, args, kwargs or {})


def tag(storage: Any) -> str | None:
    """Where a checkpoint says that a storage was."""
    untyped = getattr(storage, "_untyped_storage", storage)
    index = gpus.places.get(untyped._cdata)
    return None if index is None else f"cuda:{index}"


def empty(size: Any, dtype: Any = None, device: Any = None, **more: Any) -> SimulatedTensor:
    """torch.empty on a GPU: nothing but rubbish is in it."""
    dtype = dtype or torch.get_default_dtype()
    index = timeline.index_of(device)
    with timeline.lock:
        nbytes = torch.Size(size).numel() * dtype.itemsize
        if gpus.each[index].allocated + nbytes > gpus.each[index].total:
            gpus.require(index, nbytes)  # before the host's memory is taken
        form = more.get("memory_format") or torch.contiguous_format
        with torch.inference_mode(False):
            return _fresh(torch.empty(size, dtype=dtype, memory_format=form), index)


def empty_strided(size: Any, stride: Any, dtype: Any = None, device: Any = None, **_: Any) -> Any:
    """torch.empty_strided on a GPU."""
    with timeline.lock, torch.inference_mode(False):
        held = torch.empty_strided(size, stride, dtype=dtype or torch.get_default_dtype())
        return _fresh(held, timeline.index_of(device))


def _fresh(held: Tensor, index: int) -> SimulatedTensor:
    _spoil(held)
    made = SimulatedTensor(held, index)
    _launch(timeline.current_stream(index), (), (made,), "empty")
    return made


def _spoil(held: Tensor) -> None:
    """What nobody has written yet is rubbish."""
    rubbish = float("nan") if held.is_floating_point() else 1 if held.dtype == torch.bool else 85
    with torch.inference_mode():
        held.fill_(rubbish)


def _done(func: Any, args: Any, kwargs: Any) -> Any:
    if func is aten.copy_.default:
        return _copy(*args, **kwargs)
    if func is aten._to_copy.default:
        return _to_copy(*args, **kwargs)
    if func not in WAITS and func._can_decompose():  # whole ones arrive in inference mode
        found = func.decompose(*args, **kwargs)
        if found is not NotImplemented:
            return found
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    there = [one for one in tensors if isinstance(one, SimulatedTensor)]
    index = _one_device(func, tensors)
    _require_known_type(func, there)
    stream = timeline.current_stream(index)
    if func in WAITS:
        timeline.host_waits(stream.clock(), str(func))
    held_args, held_kwargs = tree_map(_held, (args, kwargs))
    result = func(*held_args, **{k: _on_cpu(v) for k, v in held_kwargs.items()})
    known = {id(one.held): one for one in there}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return known[id(value)] if id(value) in known else SimulatedTensor(value, index)

    out = tree_map(wrapped, result)
    read, written = (_touched(func, args, kwargs, out, write) for write in (False, True))
    _launch(stream, read, written, str(func))
    return out


def _one_device(func: Any, tensors: list[Tensor]) -> int:
    """The GPU of an operation; RuntimeError where its tensors are not all there."""
    places = {
        str(one.device)
        for one in tensors
        if one.dim() or isinstance(one, SimulatedTensor)
        if isinstance(one, SimulatedTensor) or func not in INDEXED_BY_THE_HOST
    }
    if len(places) > 1:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{' and '.join(sorted(places))}! ({func}, {caller()})"
        )
    return next(one.device.index for one in tensors if isinstance(one, SimulatedTensor))


def _require_known_type(func: Any, tensors: list[SimulatedTensor]) -> None:
    """RuntimeError for a convolution in a type that the GPU lacks, as cuDNN says it."""
    bfloat16 = any(one.dtype == torch.bfloat16 for one in tensors)
    if bfloat16 and "convolution" in str(func) and gpus.capability < (8, 0):
        raise RuntimeError("GET was unable to find an engine to execute this computation")


def _held(value: Any) -> Any:
    return value.held if isinstance(value, SimulatedTensor) else value


def _on_cpu(value: Any) -> Any:
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _touched(func: Any, args: Any, kwargs: Any, out: Any, write: bool) -> list[Tensor]:
    """The tensors that an operation writes, or reads; views read nothing."""
    schema = func._schema
    is_view = any(one.alias_info and not one.alias_info.is_write for one in schema.returns)
    if is_view:
        return []
    given = [*zip(schema.arguments, args), *((a, kwargs.get(a.name)) for a in schema.arguments)]
    found = [out] if write else []
    found += [v for a, v in given if bool(a.alias_info and a.alias_info.is_write) == write]
    return [one for one in tree_leaves(found) if isinstance(one, SimulatedTensor)]


def _launch(stream: Stream, read: Any, written: Any, what: str) -> None:
    stream.launched += 1
    of = {id(m): m for m in (gpus.memory_of(one.held) for one in written)}
    for memory in {id(m): m for m in (gpus.memory_of(one.held) for one in read)}.values():
        if id(memory) not in of:
            memory.used(stream, write=False, what=what)
    for memory in of.values():
        memory.used(stream, write=True, what=what)


def _copy(target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    if isinstance(target, SimulatedTensor) and isinstance(source, SimulatedTensor):
        _between(target, source)
    elif isinstance(target, SimulatedTensor):
        _upload(target, source, non_blocking)
    else:
        assert isinstance(source, SimulatedTensor)
        _download(target, source, non_blocking)
    return target


def _between(target: SimulatedTensor, source: SimulatedTensor) -> None:
    """From GPU to GPU, or within one: both wait."""
    stream, other = (timeline.current_stream(one.device.index) for one in (source, target))
    stream.wait_stream(other)
    target.held.copy_(source.held)
    _launch(stream, (source,), (target,), "copy_")
    other.wait_stream(stream)


def _upload(target: SimulatedTensor, source: Tensor, non_blocking: bool) -> None:
    stream = timeline.current_stream(target.device.index)
    target.held.copy_(source)
    _launch(stream, (), (target,), "copy to the GPU")
    pinned = gpus.pinned_memory_of(source)
    if not non_blocking:
        if source.dim():
            timeline.host_waits(stream.clock(), "copy to the GPU")
    elif pinned is None or not _in_one_piece(source):
        _refuse_hidden_wait(source, "to")
    else:
        pinned.used(stream, write=False, what="copy to the GPU")
        timeline.later(stream, _unchanged(source))


def _download(target: Tensor, source: SimulatedTensor, non_blocking: bool) -> None:
    stream = timeline.current_stream(source.device.index)
    _launch(stream, (source,), (), "copy from the GPU")
    pinned = gpus.pinned_memory_of(target)
    if not non_blocking:
        timeline.host_waits(stream.clock(), "copy from the GPU")
        target.copy_(source.held)
    elif pinned is None or not _in_one_piece(source):
        _refuse_hidden_wait(target, "from")
    else:
        pinned.used(stream, write=True, what="copy from the GPU")
        values = source.held.clone()
        _spoil(target)
        timeline.later(stream, partial(_arrive, target, values))


def _arrive(target: Tensor, values: Tensor) -> None:
    with torch.inference_mode():  # `target` may have been made there
        target.copy_(values)


def _in_one_piece(tensor: Tensor) -> bool:
    """Whether it is copied at once: else torch makes copies between, for which the host waits."""
    order = sorted(range(tensor.dim()), key=lambda n: -tensor.stride(n))
    return tensor.permute(order).is_contiguous()


def _refuse_hidden_wait(host: Tensor, way: str) -> None:
    if host.dim():
        timeline.fault(
            f"non_blocking copy {way} the GPU of memory that is not pinned, or not in one piece: "
            "the host waits all the same"
        )


def _unchanged(source: Tensor) -> Any:
    """A look, once the copy is over, whether what was to be copied was still there."""
    before = source.clone()

    def look() -> None:
        if not torch.equal(before, source):
            timeline.note("pinned memory was changed before its copy to the GPU was over")

    return look


def _to_copy(source: Tensor, *, dtype: Any = None, device: Any = None, **more: Any) -> Tensor:
    assert isinstance(source, SimulatedTensor)
    form = more.get("memory_format") or torch.preserve_format
    dtype, non_blocking = dtype or source.dtype, more.get("non_blocking", False)
    if device is not None and device.type == "cpu":
        there = source if dtype == source.dtype else _to_copy(source, dtype=dtype)
        like = torch.empty_like(source.held, dtype=dtype, memory_format=form)
        return _copy(like.pin_memory() if non_blocking else like, there, non_blocking)
    index = source.device.index if device is None else timeline.index_of(device)
    made = SimulatedTensor(torch.empty_like(source.held, dtype=dtype, memory_format=form), index)
    return _copy(made, source)

"""Voxels of one grid on another, in phase with the whole volume.

Weights come from `grid.scale.taps`. Every output voxel is the same sum of products in the same
order whatever box it is computed in, so results do not depend on the block size.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Box, Shape
from volproc.grid.scale import Taps, VoxelNm, rescaled_shape, taps
from volproc.lazy import lazy
from volproc.volume.metadata import Level, VolumeInfo

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


class Voxels(Protocol):
    """Boxes of voxels of a pyramid: a volume, or what a task has been given of one."""

    @property
    def info(self) -> VolumeInfo:
        """Levels and types; `url` says in messages what it is."""

    def read(self, box: Box, level: int = 0) -> npt.NDArray[Any]:
        """Voxels of `box`, shape (z, y, x)."""


SLAB = 16
"""Planes resampled at a time on a CPU: bounds the float32 copies."""
GPU_SLAB_VOXELS = 32 * 2**20
"""Of a slab on a GPU, before or after: enough to keep it busy, and some 0.5 GB of copies."""


@dataclass(frozen=True)
class Resampling:
    """From a level of a volume to a grid of `voxel_nm` voxels with the same corner."""

    level: int
    shape_in: Shape
    shape_out: Shape
    factor: tuple[float, float, float]
    voxel_nm: VoxelNm

    def axes(self, window: Box) -> tuple[Taps, Taps, Taps]:
        """Taps of each axis for output voxels `window`, which may reach beyond the volume."""
        z, y, x = (
            taps(a, b, size_in=i, size_out=o, factor=f)
            for a, b, i, o, f in zip(
                window.start, window.stop, self.shape_in, self.shape_out, self.factor, strict=True
            )
        )
        return z, y, x

    def source(self, window: Box) -> Box:
        """Input voxels needed for `window`."""
        z, y, x = self.axes(window)
        return Box(
            (z.first, y.first, x.first),
            (z.first + z.count, y.first + y.count, x.first + x.count),
        )


def resampling_to(info: VolumeInfo, voxel_nm: VoxelNm) -> Resampling:
    """To voxels of `voxel_nm`, from the coarsest level that is nowhere coarser than these.

    Where even the finest level is coarser, it is interpolated.
    """
    fine = [n for n, level in enumerate(info.levels) if _not_coarser(level, voxel_nm)]
    chosen = fine[-1] if fine else 0
    level = info.levels[chosen]
    # The size comes from the finest level: a coarser one may reach beyond the volume's end.
    shape_out = rescaled_shape(info.shape, source_nm=info.voxel_nm, target_nm=voxel_nm)
    z, y, x = (float(t / s) for t, s in zip(voxel_nm, level.voxel_nm, strict=True))
    return Resampling(chosen, level.shape, shape_out, (z, y, x), voxel_nm)


def _not_coarser(level: Level, voxel_nm: VoxelNm) -> bool:
    return all(v <= 1.01 * requested for v, requested in zip(level.voxel_nm, voxel_nm, strict=True))


def resampled(
    values: torch.Tensor, resampler: Resampling, window: Box, *, rounded: bool = True
) -> torch.Tensor:
    """Voxels of `window` on the new grid, from `values`, those of `resampler.source(window)`.

    uint8 stays uint8 if `rounded`, all else becomes float32. In plane first, y then x, and then
    along z, a few planes at a time: in one order everywhere, for rounding differs between orders.
    On a GPU without a wait of the host.
    """
    axes = z, y, x = resampler.axes(window)
    dtype = torch.uint8 if rounded and values.dtype == torch.uint8 else torch.float32
    if all(map(_is_straight, axes, values.shape)):
        return values.to(dtype)
    out = torch.empty([len(axis.indices) for axis in axes], dtype=dtype, device=values.device)
    if values.is_cuda:
        _by_torch(values, z, y, x, out)
    else:
        _by_rows(values, z, y, x, out)
    return out


def _by_rows(values: torch.Tensor, z: Taps, y: Taps, x: Taps, out: torch.Tensor) -> None:
    for first in range(0, len(out), SLAB):
        part, slab = z.part(first, first + SLAB), out[first : first + SLAB]
        planes = values[part.first : part.first + part.count]
        if _picks(z):
            in_plane_by_rows(planes[part.indices[:, 0]], y, x, slab)
        else:
            flat = torch.empty((len(planes), *out.shape[1:]))
            in_plane_by_rows(planes, y, x, flat)
            _keep(_along(flat, tap_tensors(part, flat.device), 0), slab)


def _by_torch(values: torch.Tensor, z: Taps, y: Taps, x: Taps, out: torch.Tensor) -> None:
    zs, ys, xs = (tap_tensors(axis, values.device) for axis in (z, y, x))
    depth = max(1, GPU_SLAB_VOXELS * len(out) // max(values.numel(), out.numel()))
    for first in range(0, len(out), depth):
        part, slab = z.part(first, first + depth), out[first : first + depth]
        here = TapTensors(*(rows[:, first : first + depth] for rows in zs))
        if _picks(z):
            in_plane_by_torch(values.index_select(0, here.indices[0]), ys, xs, slab)
        else:
            planes = values[part.first : part.first + part.count]
            flat = torch.empty((len(planes), *out.shape[1:]), device=values.device)
            in_plane_by_torch(planes, ys, xs, flat)
            _keep(_along(flat, TapTensors(here.indices - part.first, here.weights), 0), slab)


def _is_straight(axis: Taps, size: int) -> bool:
    """Whether the axis stays as it is."""
    return _picks(axis) and np.array_equal(axis.indices[:, 0], np.arange(size))


def _picks(axis: Taps) -> bool:
    """Whether every output is one input."""
    return bool((axis.weights[:, 0] == 1).all())


def _keep(values: torch.Tensor, out: torch.Tensor) -> None:
    out.copy_(values if out.is_floating_point() else values.round())


class TapTensors(NamedTuple):
    """Taps on a device: int32 indices and float32 weights, both (taps, outputs)."""

    indices: torch.Tensor
    weights: torch.Tensor


def tap_tensors(axis: Taps, device: torch.device) -> TapTensors:
    """The taps of an axis on a device; the host does not wait for a GPU."""
    here = [torch.from_numpy(rows) for rows in _by_tap(axis)]
    if device.type == "cuda":
        here = [rows.pin_memory().to(device, non_blocking=True) for rows in here]
    return TapTensors(*here)


def in_plane_by_torch(
    planes: torch.Tensor, y: TapTensors, x: TapTensors, out: torch.Tensor
) -> None:
    """Rows, then columns, of `planes` into `out`, with torch: for a GPU."""
    _keep(_along(_along(planes.to(torch.float32), y, 1), x, 2), out)


def _along(values: torch.Tensor, taps: TapTensors, axis: int) -> torch.Tensor:
    indices, weights = taps
    # with the axis in front whole planes are picked: 3 times as fast as picking single voxels
    planes = values.movedim(axis, 0).contiguous()
    total = torch.zeros((), device=values.device)
    for tap in range(len(weights)):
        # two operations, never a fused one: vector and scalar tails would round differently
        total = planes.index_select(0, indices[tap]).mul_(weights[tap].view(-1, 1, 1)).add_(total)
    return total.movedim(0, axis)


def in_plane_by_rows(planes: torch.Tensor, y: Taps, x: Taps, out: torch.Tensor) -> None:
    """The same bits on a CPU, a row at a time: it stays in the cache (3 to 20 times as fast)."""
    whole = not out.is_floating_point()
    _rows_and_columns(planes.numpy(), *_by_tap(y), *_by_tap(x), out.numpy(), whole)


def _by_tap(axis: Taps) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Indices and weights, one row per tap that some output has."""
    used = axis.weights.any(axis=0)
    indices = np.ascontiguousarray(axis.indices.T[used], dtype=np.int32)
    return indices, np.ascontiguousarray(axis.weights.T[used])


@compiled
def _rows_and_columns(
    planes: npt.NDArray[Any],
    y_indices: npt.NDArray[np.int32],
    y_weights: npt.NDArray[np.float32],
    x_indices: npt.NDArray[np.int32],
    x_weights: npt.NDArray[np.float32],
    out: npt.NDArray[Any],
    whole: bool,
) -> None:
    # `row`: an output row at the input's width, summed over the taps along y;
    # `line`: the same at the output's width, summed over the taps along x
    row = np.empty(planes.shape[2], np.float32)
    line = np.empty(out.shape[2], np.float32)
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            row[:] = 0
            for tap in range(len(y_indices)):
                source, weight = planes[z, y_indices[tap, y]], y_weights[tap, y]
                for x in range(len(row)):
                    row[x] += weight * np.float32(source[x])
            line[:] = 0
            for tap in range(len(x_indices)):
                for x in range(len(line)):
                    line[x] += x_weights[tap, x] * row[x_indices[tap, x]]
            for x in range(len(line)):
                out[z, y, x] = np.rint(line[x]) if whole else line[x]


def read_resampled(volume: Voxels, resampler: Resampling, window: Box) -> torch.Tensor:
    """Float32 voxels of `window` on the new grid, mirrored beyond the volume's border."""
    values = volume.read(resampler.source(window), level=resampler.level)
    return resampled(as_tensor(values), resampler, window, rounded=False)


def as_tensor(values: npt.NDArray[Any]) -> torch.Tensor:
    """`values` as a tensor; types torch lacks arithmetic for become float32."""
    fits = values.dtype in (np.uint8, np.int16, np.float32)
    plain = values if fits else values.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(plain))


def bytes_read(resampler: Resampling, window: Box, *, itemsize: int) -> int:
    """Raw bytes that `window` needs from the volume."""
    return prod(resampler.source(window).shape) * itemsize

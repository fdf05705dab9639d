"""Voxels of one grid on another, in phase with the whole volume.

Weights come from `grid.scale.taps`. Every output voxel is the same sum of products in the same
order whatever box it is computed in, so results do not depend on the block size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from volproc.grid.box import Box, Shape
from volproc.grid.scale import Taps, VoxelNm, rescaled_shape, taps
from volproc.volume.metadata import Level, VolumeInfo
from volproc.volume.store import Volume


@dataclass(frozen=True)
class Resampling:
    """From a level of a volume to a grid of `voxel_nm` voxels with the same corner."""

    level: int
    shape_in: Shape
    shape_out: Shape
    factor: tuple[float, float, float]
    voxel_nm: VoxelNm

    @property
    def order(self) -> list[int]:
        """Axes by how much they shrink, most first: the others then have less to do."""
        return sorted(range(3), key=lambda axis: -self.factor[axis])

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
    """The way to `voxel_nm`: from the coarsest level that is nowhere coarser than asked for.

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
    return all(v <= 1.01 * wanted for v, wanted in zip(level.voxel_nm, voxel_nm, strict=True))


def resample(
    values: torch.Tensor, axes: tuple[Taps, Taps, Taps], *, order: Iterable[int] = (0, 1, 2)
) -> torch.Tensor:
    """Float32 voxels, shape = outputs of each axis, from `values` of shape (z, y, x).

    The axes go in `order`, which must not depend on the box: rounding differs between orders.
    """
    out = values.to(torch.float32)
    for axis in order:
        out = _along(out, axes[axis], axis)
    return out


def _along(values: torch.Tensor, way: Taps, axis: int) -> torch.Tensor:
    indices = torch.from_numpy(way.indices).to(values.device)
    weights = torch.from_numpy(way.weights).to(values.device)
    if bool((way.weights[:, 0] == 1).all()):
        first = way.indices[:, 0]
        straight = np.array_equal(first, np.arange(values.shape[axis]))
        return values if straight else values.index_select(axis, indices[:, 0])
    # with the axis in front whole planes are picked: 3 times as fast as picking single voxels
    planes = values.movedim(axis, 0).contiguous()
    total = planes.index_select(0, indices[:, 0]).mul_(weights[:, 0].view(-1, 1, 1))
    for tap in range(1, weights.shape[1]):
        # two operations, never a fused one: vector and scalar tails would round differently
        total += planes.index_select(0, indices[:, tap]).mul_(weights[:, tap].view(-1, 1, 1))
    return total.movedim(0, axis)


def read_resampled(volume: Volume, way: Resampling, window: Box) -> torch.Tensor:
    """Float32 voxels of `window` on the new grid, mirrored beyond the volume's border."""
    values = volume.read(way.source(window), level=way.level)
    return resample(as_tensor(values), way.axes(window), order=way.order)


def as_tensor(values: npt.NDArray[Any]) -> torch.Tensor:
    """`values` as a tensor; types torch lacks arithmetic for become float32."""
    fits = values.dtype in (np.uint8, np.int16, np.float32)
    plain = values if fits else values.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(plain))


def bytes_read(way: Resampling, window: Box, *, itemsize: int) -> int:
    """Raw bytes that `window` needs from the volume."""
    return prod(way.source(window).shape) * itemsize

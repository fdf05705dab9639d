"""Which way the patches of a batch are seen: where their sections are, and how large a pixel is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import isclose

import numpy as np
import torch
from torch import Tensor

from volproc.grid.scale import VoxelNm


@dataclass(frozen=True)
class Views:
    """Of each patch the axis it is viewed along; see the table of `batch.py`."""

    axes: tuple[int, ...]
    voxel_nm: VoxelNm

    def pixel(self, place: int) -> tuple[float, float]:
        """Height and width of a pixel in nm."""
        rows, columns = (axis for axis in range(3) if axis != self.axes[place])
        return self.voxel_nm[rows], self.voxel_nm[columns]

    def ratio(self, place: int) -> float:
        """Width of a pixel by its height: how many rows are as long as a column is wide."""
        height, width = self.pixel(place)
        return width / height

    def is_square(self, place: int) -> bool:
        """Whether the pixels are: then rows and columns may change places."""
        return isclose(*self.pixel(place), rel_tol=0.01)

    def section_dim(self, place: int) -> int:
        """The dimension along which a patch (..., D, H, W) was cut: slices along z, else rows."""
        return -3 if self.axes[place] == 0 else -2

    def by_section(self, values: Tensor, planes: Tensor) -> Tensor:
        """`values` (N, sections) of planes (N, D, H, W) where their sections are: (N, D, H, 1)."""
        depth, height = planes.shape[1:3]
        along_z = torch.tensor([axis == 0 for axis in self.axes], device=values.device)
        slices, rows = values[:, :depth, None, None], values[:, None, :height, None]
        return torch.where(along_z[:, None, None, None], slices, rows)


def column(values: Sequence[float] | np.ndarray, planes: Tensor) -> Tensor:
    """A number per patch as float32 that multiplies `planes` (N, D, H, W)."""
    numbers = torch.as_tensor(np.asarray(values, np.float32), device=planes.device)
    return numbers[:, None, None, None]


def table(rows: Sequence[np.ndarray], planes: Tensor) -> Tensor:
    """Arrays of equal shape, one per patch, as one float32 tensor where `planes` are."""
    return torch.from_numpy(np.stack(rows).astype(np.float32)).to(planes.device)


def change(part: Tensor, places: Collection[int], changed: Callable[[Tensor], Tensor]) -> None:
    """Change the patches of `part` (N, ...) at `places`, in place and together."""
    if places:
        index = torch.tensor(list(places), device=part.device)
        part[index] = changed(part[index])

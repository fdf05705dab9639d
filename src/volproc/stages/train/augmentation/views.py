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

    def __getitem__(self, places: Collection[int]) -> Views:
        """Those of some patches."""
        return Views(tuple(self.axes[place] for place in places), self.voxel_nm)

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

    def by_section(self, values: Tensor, planes: Tensor) -> Tensor:
        """`values` (N, sections) of planes (N, D, H, W) where their sections are: (N, D, H, 1)."""
        depth, height = planes.shape[1:3]
        along_z = torch.tensor([axis == 0 for axis in self.axes], device=values.device)
        slices, rows = values[:, :depth, None, None], values[:, None, :height, None]
        return torch.where(along_z[:, None, None, None], slices, rows)

    def sections(self, place: int, planes: Tensor) -> int:
        """Number of sections of a patch of `planes`."""
        return int(planes.shape[1 if self.axes[place] == 0 else 2])


def column(values: Sequence[float] | np.ndarray, planes: Tensor) -> Tensor:
    """A number per patch as float32 that multiplies `planes` (N, D, H, W)."""
    numbers = torch.as_tensor(np.asarray(values, np.float32), device=planes.device)
    return numbers[:, None, None, None]


def table(rows: Sequence[np.ndarray], planes: Tensor) -> Tensor:
    """Arrays of equal shape, one per patch, as one float32 tensor where `planes` are."""
    return torch.from_numpy(np.stack(rows).astype(np.float32)).to(planes.device)


def changed(part: Tensor, places: Collection[int], change: Callable[[Tensor], Tensor]) -> Tensor:
    """`part` (N, ...) with the patches at `places` changed, the others as they are."""
    if not places:
        return part
    index = torch.tensor(list(places), device=part.device)
    return part.index_copy(0, index, change(part[index]))

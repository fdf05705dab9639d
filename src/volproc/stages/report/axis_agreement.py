"""Where the axes agree: voxels counted by who says yes, over a whole volume and per object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.fusion import level_of
from volproc.grid.blocks import Tiling
from volproc.grid.box import each
from volproc.volume.metadata import VolumeInfo
from volproc.volume.sampling import Sampling, level_not_coarser
from volproc.volume.store import Volume

MAX_VOXELS = 2**24
"""Votes are counted at the finest level of the pyramid that has no more voxels than this."""
BLOCK = (64, 256, 256)

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """Voxels by who says yes: `counts[code]`, where bit i of `code` is the vote of `axes[i]`.

    `objects[id]` is the share of an object's voxels on which all axes say yes, NaN where the
    level is too coarse to show it. `coarse` if this was not the finest level.
    """

    axes: tuple[str, ...]
    counts: Counts
    voxel_nm: tuple[float, float, float]
    objects: npt.NDArray[np.float64]
    coarse: bool = False

    def dice(self, first: str, second: str) -> float | None:
        """Dice coefficient of two axes' foreground; None where neither has any."""
        a, b = (self._yes(self.axes.index(name)) for name in (first, second))
        both = int(self.counts[a & b].sum())
        total = int(self.counts[a].sum() + self.counts[b].sum())
        return 2 * both / total if total else None

    @property
    def pairs(self) -> list[tuple[str, str, float | None]]:
        """Dice of every pair of axes."""
        return [(a, b, self.dice(a, b)) for a, b in combinations(self.axes, 2)]

    @property
    def shares(self) -> dict[str, float]:
        """Of the voxels that some axis calls foreground: each group's share, all axes first."""
        some = int(self.counts[1:].sum())
        codes = sorted(range(1, len(self.counts)), key=lambda code: -code.bit_count())
        named = {self._names(code): int(self.counts[code]) for code in codes}
        return {name: n / some if some else 0.0 for name, n in named.items()}

    @property
    def by_votes(self) -> dict[int, float]:
        """Of the same voxels: the share with one, two or three votes."""
        counted = dict.fromkeys(range(len(self.axes), 0, -1), 0.0)
        for name, share in self.shares.items():
            counted[len(name)] += share
        return counted

    def _yes(self, bit: int) -> npt.NDArray[np.bool_]:
        return (np.arange(len(self.counts)) >> bit & 1).astype(bool)

    def _names(self, code: int) -> str:
        return "".join(sorted(name for bit, name in enumerate(self.axes) if code >> bit & 1))


def vote_codes(votes: npt.NDArray[Any], *, level: float) -> npt.NDArray[np.uint8]:
    """One number per voxel from `votes` (axes, z, y, x): bit i is set where vote i reaches `level`.

    >>> vote_codes(np.array([[[[200, 0]]], [[[200, 130]]]]), level=128).tolist()
    [[[3, 2]]]
    """
    codes = np.zeros(votes.shape[1:], dtype=np.uint8)
    for bit, vote in enumerate(votes):
        codes |= (vote >= level).astype(np.uint8) << bit
    return codes


def level_to_count(info: VolumeInfo) -> int:
    """The level whose voxels are counted."""
    small = (n for n, level in enumerate(info.levels) if prod(level.shape) <= MAX_VOXELS)
    return next(small, len(info.levels) - 1)


def measure_agreement(votes: Volume, objects: Volume | None, *, highest: int) -> Agreement:
    """Agreement over the whole of `votes`, and for `objects` with ids up to `highest`."""
    number = level_to_count(votes.info)
    level, names = votes.info.levels[number], votes.info.channels
    counts = np.zeros(2 ** len(names), dtype=np.int64)
    sizes, agreed = np.zeros((2, highest + 1), dtype=np.int64)
    for codes, labels in _blocks(votes, objects, number):
        counts += np.bincount(codes.ravel(), minlength=len(counts))
        if labels is not None:
            all_say_yes = labels[codes == len(counts) - 1]
            sizes += _per_id(labels, highest)
            agreed += _per_id(all_say_yes, highest)
    shares = np.full(highest + 1, np.nan)
    np.divide(agreed, sizes, out=shares, where=sizes > 0)
    return Agreement(names, counts, level.voxel_nm, shares, coarse=number > 0)


def _per_id(labels: npt.NDArray[Any], highest: int) -> Counts:
    found, counts = np.unique(labels, return_counts=True)
    known = (found > 0) & (found <= highest)
    total = np.zeros(highest + 1, dtype=np.int64)
    total[found[known].astype(np.intp)] = counts[known]
    return total


def _blocks(
    votes: Volume, objects: Volume | None, number: int
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[Any] | None]]:
    level = votes.info.levels[number]
    at = level_not_coarser(objects.info, level.voxel_nm) if objects else 0
    for block in Tiling(shape=level.shape, core=BLOCK):
        codes = vote_codes(votes.read(block.core, level=number), level=level_of(0.5))
        if objects is None:
            yield codes, None
            continue
        there = objects.info.levels[at]
        factor = each(lambda b, a: b / a, level.voxel_nm, there.voxel_nm)
        sampling = Sampling(there.shape, factor)
        values = objects.read(sampling.source(block.core), level=at)
        yield codes, sampling.sample(values, block.core)

"""Counts of one block: the results, sampled on the grid of the ground truth, against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.fusion import FUSIONS
from volproc.grid.blocks import Block
from volproc.grid.box import Box, Shape
from volproc.stages.evaluate.overlap import foregrounds_in, overlap_by_slice
from volproc.volume.kinds import foreground, foreground_level, labelled
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.sampling import Sampling, overlap
from volproc.volume.store import Volume

BLOCK_VOXELS = 2**24
THICKNESS = 32


@dataclass(frozen=True)
class Result:
    """A volume that is scored: a mask, labels or a probability; or votes, one channel per axis."""

    name: str
    volume: Volume
    sampling: Sampling
    threshold: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is scored: its own, or of votes one for each axis and mode of fusion."""
        channels = self.volume.info.channels
        return (
            tuple(f"{self.name} {kind}" for kind in (*channels, *FUSIONS))
            if channels
            else (self.name,)
        )

    def foreground(self, values: npt.NDArray[Any], box: Box) -> Iterator[npt.NDArray[np.bool_]]:
        """Foreground of each mask on `box` of the common grid, from the voxels of its source."""
        info = self.volume.info
        if info.channels:
            found = foregrounds_in(values, threshold=self.threshold)
        else:
            level = foreground_level(info, threshold=self.threshold)
            found = iter([foreground(values, level=level, what=info.url)])
        return (self.sampling.sample(one, box) for one in found)


def result_of(name: str, info: VolumeInfo, *, truth: VolumeInfo, threshold: float) -> Result:
    """`info` to be compared with `truth` where both are; VolumeError where that is nowhere."""
    if info.channels and info.dtype != "uint8":
        raise VolumeError(
            f"{info.url} has channels of {info.dtype}; votes are uint8, one channel per axis"
        )
    foreground_level(info, threshold=threshold)
    return Result(name, Volume(info), overlap(info, truth)[0], threshold)


class BlockCounts(NamedTuple):
    """TP, FP and FN per slice of each mask, the labels that occur, each volume's highest value."""

    counts: dict[str, npt.NDArray[np.int64]]
    labels: list[int]
    highest: dict[str, int]


@dataclass(frozen=True)
class CountOverlap:
    """Task: counts per mask and slice of one block, within `scored`."""

    truth: Volume
    labels: tuple[int, ...]
    results: tuple[Result, ...]
    scored: Box

    def load(self, block: Block) -> tuple[npt.NDArray[Any], list[npt.NDArray[Any]]]:
        """Voxels of the ground truth and of every result."""
        box = block.core.clip(self.scored)
        results = [result.volume.read(result.sampling.source(box)) for result in self.results]
        return self.truth.read(box), results

    def compute(
        self, block: Block, loaded: tuple[npt.NDArray[Any], list[npt.NDArray[Any]]]
    ) -> BlockCounts:
        """What every mask has in common with the ground truth, and what tells a wrong input."""
        box = block.core.clip(self.scored)
        truth = labelled(loaded[0], self.labels, what=f"{self.truth.info.url}, voxels {box},")
        given = [*zip(self.results, loaded[1], strict=True)]
        counts = {
            name: overlap_by_slice(mask, truth)
            for result, values in given
            for name, mask in zip(result.names, result.foreground(values, box), strict=True)
        }
        masks = ((r.name, v) for r, v in given if not r.volume.info.channels)
        return BlockCounts(
            counts,
            labels=[label for label in self.labels if (loaded[0] == label).any()],
            highest={name: int(values.max(initial=0)) for name, values in masks},
        )

    def store(self, block: Block, result: BlockCounts) -> dict[str, Any]:
        """Nothing to write: the counts are the record."""
        counts = {name: values.tolist() for name, values in result.counts.items()}
        first = block.core.clip(self.scored).start[0]
        return {**result._asdict(), "first": first, "counts": counts}

    def bytes_read(self, block: Block) -> int:
        """Raw bytes that a block needs."""
        box = block.core.clip(self.scored)
        sources = (
            result.sampling.source(box).size
            * itemsize(result.volume.info.dtype)
            * max(1, len(result.volume.info.channels))
            for result in self.results
        )
        return box.size * itemsize(self.truth.info.dtype) + sum(sources)


def block_of(truth: VolumeInfo) -> Shape:
    """Whole chunks of `truth`: few slices, and as wide as 16 million voxels allow.

    Wide rather than thick, because a block's record holds counts for each of its slices.
    """
    (thick, rows, columns), (_, height, width) = truth.levels[0].chunks, truth.shape
    depth = thick * -(-THICKNESS // thick)
    across = min(-(-width // columns), max(1, BLOCK_VOXELS // (depth * rows * columns)))
    down = min(-(-height // rows), max(1, BLOCK_VOXELS // (depth * rows * columns * across)))
    return depth, rows * down, columns * across

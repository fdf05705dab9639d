"""Counting one block: what the results say there, seen on the truth's grid, against the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.fusion import FUSIONS
from volproc.grid.blocks import Block
from volproc.grid.box import Box
from volproc.stages.evaluate.overlap import answers_in, overlap_by_slice, truth_foreground
from volproc.volume.foreground import foreground, foreground_level
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.sampling import Sampling, overlap
from volproc.volume.store import Volume


@dataclass(frozen=True)
class Result:
    """A volume that is scored: a mask, labels or a probability; or votes, one channel per axis."""

    name: str
    volume: Volume
    sampling: Sampling
    threshold: float

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of what it says: its own, or with votes one for each axis and mode of fusion."""
        channels = self.volume.info.channels
        return (
            tuple(f"{self.name} {kind}" for kind in (*channels, *FUSIONS))
            if channels
            else (self.name,)
        )

    def foreground(self, values: npt.NDArray[Any], box: Box) -> Iterator[npt.NDArray[np.bool_]]:
        """Foreground of each answer on `box` of the truth's grid, from the voxels of its source."""
        info = self.volume.info
        if info.channels:
            found = answers_in(values, threshold=self.threshold)
        else:
            level = foreground_level(info, threshold=self.threshold)
            found = iter([foreground(values, level=level, what=info.url)])
        return (self.sampling.sample(one, box) for one in found)


def result_of(name: str, info: VolumeInfo, *, truth: VolumeInfo, threshold: float) -> Result:
    """`info` as something to compare with `truth` where both lie; VolumeError if that cannot be."""
    if info.channels and info.dtype != "uint8":
        raise VolumeError(
            f"{info.url} has channels of {info.dtype}; votes are uint8, one channel per axis"
        )
    foreground_level(info, threshold=threshold)
    return Result(name, Volume(info), overlap(info, truth)[0], threshold)


@dataclass(frozen=True)
class CountOverlap:
    """Task: counts per answer and slice of one block, within `scored`."""

    truth: Volume
    labels: tuple[int, ...]
    results: tuple[Result, ...]
    scored: Box

    def load(self, block: Block) -> tuple[npt.NDArray[Any], list[npt.NDArray[Any]]]:
        """Voxels of the truth and of every result."""
        box = block.core.clip(self.scored)
        results = [result.volume.read(result.sampling.source(box)) for result in self.results]
        return self.truth.read(box), results

    def compute(
        self, block: Block, loaded: tuple[npt.NDArray[Any], list[npt.NDArray[Any]]]
    ) -> dict[str, npt.NDArray[np.int64]]:
        """TP, FP and FN per slice, for each answer."""
        box = block.core.clip(self.scored)
        truth = truth_foreground(loaded[0], self.labels)
        return {
            name: overlap_by_slice(answer, truth)
            for result, values in zip(self.results, loaded[1], strict=True)
            for name, answer in zip(result.answers, result.foreground(values, box), strict=True)
        }

    def store(self, block: Block, result: dict[str, npt.NDArray[np.int64]]) -> dict[str, Any]:
        """Nothing to write: the counts are the record."""
        counts = {name: values.tolist() for name, values in result.items()}
        return {"first": block.core.clip(self.scored).start[0], "counts": counts}

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

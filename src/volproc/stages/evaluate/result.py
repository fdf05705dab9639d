"""What is scored: a mask, labels, a probability, or votes; and the answers that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.fusion import BINARY, FUSIONS, fuse, level_of
from volproc.grid.box import Box
from volproc.volume.kinds import foreground, foreground_level
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.sampling import Sampling, overlap
from volproc.volume.store import Volume

Mask = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.uint8]
ROUNDING = 1e-4
"""By so much a probability times 255 may lie below a whole number and still be it."""


@dataclass(frozen=True)
class Answer:
    """One mask to be scored, and the probability times 255 that it was made of, if there is one."""

    name: str
    inside: Mask
    levels: Levels | None = None


@dataclass(frozen=True)
class Result:
    """A volume that is scored: a mask, labels or a probability; or votes, one channel per axis."""

    name: str
    volume: Volume
    sampling: Sampling
    threshold: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its answers: its own, or of votes one for each axis and mode of fusion."""
        channels = self.volume.info.channels
        return (
            tuple(f"{self.name} {kind}" for kind in (*channels, *FUSIONS))
            if channels
            else (self.name,)
        )

    @property
    def has_objects(self) -> bool:
        """Whether its voxels are ids of objects."""
        info = self.volume.info
        kind = np.dtype(info.dtype).kind
        probability = info.kind == "image" and info.dtype == "uint8"
        return not info.channels and kind in "ui" and not probability

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels that `box` of the common grid needs."""
        return self.volume.read(self.sampling.source(box))

    def answers(self, values: npt.NDArray[Any], box: Box) -> Iterator[Answer]:
        """Its answers on `box`, one at a time to spare memory, from what was read for it."""
        for answer in self._answers(values):
            levels = None if answer.levels is None else self.sampling.sample(answer.levels, box)
            yield Answer(answer.name, self.sampling.sample(answer.inside, box), levels)

    def ids(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
        """Ids of objects on `box`, from what was read for it."""
        return self.sampling.sample(values, box)

    def bytes_read(self, box: Box) -> int:
        """Raw bytes that `box` of the common grid needs."""
        info = self.volume.info
        per_voxel = itemsize(info.dtype) * max(1, len(info.channels))
        return self.sampling.source(box).size * per_voxel

    def _answers(self, values: npt.NDArray[Any]) -> Iterator[Answer]:
        info = self.volume.info
        if info.channels:
            found = fused_votes(values, threshold=self.threshold)
            for name, (inside, levels) in zip(self.names, found, strict=True):
                yield Answer(name, inside, levels)
            return
        level = foreground_level(info, threshold=self.threshold)
        inside = foreground(values, level=level, what=info.url)
        yield Answer(self.name, inside, None if self.has_objects else _levels(values))


def result_of(name: str, info: VolumeInfo, *, truth: VolumeInfo, threshold: float) -> Result:
    """`info` to be compared with `truth` where both are; VolumeError where that is nowhere."""
    if info.channels and info.dtype != "uint8":
        raise VolumeError(
            f"{info.url} has channels of {info.dtype}; votes are uint8, one channel per axis"
        )
    foreground_level(info, threshold=threshold)
    return Result(name, Volume(info), overlap(info, truth)[0], threshold)


def fused_votes(votes: Levels, *, threshold: float) -> Iterator[tuple[Mask, Levels | None]]:
    """Foreground of each of `votes` (axes, z, y, x) alone, then of each mode of fusing them.

    In the order of the axes and of FUSIONS, one at a time to spare memory; with each the
    probability, where it is one.
    """
    for vote in votes:
        yield vote >= level_of(threshold), vote
    for mode in FUSIONS:
        fused = fuse(votes, mode=mode, threshold=threshold)
        yield fused >= level_of(threshold), None if mode in BINARY else fused


def _levels(values: npt.NDArray[Any]) -> Levels | None:
    """The highest threshold of 0 to 255 that each voxel reaches; None for a mask."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f":
        return None
    return np.asarray(np.clip(values * 255 + ROUNDING, 0, 255), dtype=np.uint8)

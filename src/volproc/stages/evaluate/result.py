"""What is scored: a mask, labels, a probability, or votes; and the answers that it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import ConfigError, VolumeError
from volproc.fusion import BINARY, FUSIONS, fuse, level_of
from volproc.grid.box import Box
from volproc.volume.kinds import foreground, foreground_level, labelled
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.sampling import Sampling, overlap
from volproc.volume.store import Volume

Mask = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.uint8]
AXES = {"z", "y", "x"}
"""Names of channels that are votes."""
ROUNDING = 1e-4
"""By so much a probability times 255 may lie below a whole number and still be it."""


@dataclass(frozen=True)
class Answer:
    """One mask to be scored, and the probability times 255 that it was made of, if there is one."""

    name: str
    inside: Mask
    levels: Levels | None = None


@dataclass(frozen=True)
class Target:
    """Values of the ground truth that are scored together, all but 0 if empty; and their class."""

    values: tuple[int, ...] = ()
    name: str = ""

    def within(self, labels: npt.NDArray[Any], *, what: str) -> Mask:
        """Where labels are of it; VolumeError for labels below 0 of which nobody says what."""
        return labelled(labels, self.values, what=what)


@dataclass(frozen=True)
class Result:
    """A volume that is scored: a mask, labels or a probability; or several in channels, which are
    votes if they are named after axes, else classes."""

    name: str
    volume: Volume
    sampling: Sampling
    threshold: float
    in_full: bool = True
    """Whether it is scored by more than its overlap."""

    @property
    def has_votes(self) -> bool:
        """Whether its channels are one per axis."""
        channels = self.volume.info.channels
        return bool(channels) and set(channels) <= AXES

    @property
    def has_objects(self) -> bool:
        """Whether its voxels are ids of objects."""
        info = self.volume.info
        kind = np.dtype(info.dtype).kind
        probability = info.kind == "image" and info.dtype == "uint8"
        return not info.channels and kind in "ui" and not probability

    def names(self, target: Target) -> tuple[str, ...]:
        """Names of its answers: its own, with that of a class, or one for each axis and fusion."""
        if self.has_votes:
            return tuple(f"{self.name} {kind}" for kind in (*self.volume.info.channels, *FUSIONS))
        return (f"{self.name} {target.name}".rstrip(),)

    def require(self, target: Target) -> None:
        """VolumeError, or ConfigError, where it holds no answer to a target."""
        info = self.volume.info
        if info.channels and info.dtype != "uint8":
            raise VolumeError(
                f"{info.url} has channels of {info.dtype}; votes are uint8, one channel per axis, "
                "and so are probabilities of classes"
            )
        foreground_level(info, threshold=self.threshold)
        if info.channels and not self.has_votes and target.name not in info.channels:
            raise ConfigError(
                f"{info.url} has channels {', '.join(info.channels)}; name the values of the "
                f"ground truth for those to score, such as [evaluate] classes = "
                f'["{info.channels[0]}=1"]'
            )
        if target.name and (self.has_votes or not (info.channels or self.has_objects)):
            raise ConfigError(
                f"[evaluate] classes: {info.url} has neither a channel {target.name} nor labels; "
                "choose the values that it answers with ground_truth_labels"
            )

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels that `box` of the common grid needs."""
        return self.volume.read(self.sampling.source(box))

    def answers(self, values: npt.NDArray[Any], box: Box, target: Target) -> Iterator[Answer]:
        """Its answers on `box`, one at a time to spare memory, from what was read for it."""
        found = self._answers(values, target)
        for name, (inside, levels) in zip(self.names(target), found, strict=True):
            levels = None if levels is None else self.sampling.sample_reached(levels, box)
            yield Answer(name, self.sampling.sample(inside, box), levels)

    def ids(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
        """Ids of objects on `box`, from what was read for it."""
        return self.sampling.sample(values, box)

    def bytes_read(self, box: Box) -> int:
        """Raw bytes that `box` of the common grid needs."""
        info = self.volume.info
        per_voxel = itemsize(info.dtype) * max(1, len(info.channels))
        return self.sampling.source(box).size * per_voxel

    def _answers(
        self, values: npt.NDArray[Any], target: Target
    ) -> Iterator[tuple[Mask, Levels | None]]:
        """What it says of a target: here a channel is chosen."""
        info = self.volume.info
        if self.has_votes:
            yield from fused_votes(values, threshold=self.threshold)
        elif info.channels:
            levels = values[info.channels.index(target.name)]
            yield levels >= level_of(self.threshold), levels
        elif target.name:
            yield target.within(values, what=info.url), None
        else:
            level = foreground_level(info, threshold=self.threshold)
            inside = foreground(values, level=level, what=info.url)
            yield inside, None if self.has_objects else _levels(values)


def result_of(name: str, info: VolumeInfo, *, truth: VolumeInfo, threshold: float) -> Result:
    """`info` to be compared with `truth` where both are; VolumeError where that is nowhere."""
    return Result(name, Volume(info), overlap(info, truth)[0], threshold)


def chosen_in_full(results: Sequence[Result]) -> tuple[Result, ...]:
    """The same with votes by their overlap only, where they stand beside what was made of them."""
    alone = all(result.has_votes for result in results)
    return tuple(replace(one, in_full=alone or not one.has_votes) for one in results)


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

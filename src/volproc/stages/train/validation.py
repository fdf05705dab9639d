"""The scores of a network on regions that it is not trained on: those of predict and evaluate."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import numpy as np

from volproc.fusion import FUSIONS, Fusion, fuse, level_of
from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.model.network import Predict
from volproc.model.predictor import Predictor
from volproc.model.weights import PlaneNetwork
from volproc.stages.train.held_out import KNOWN, TRUE, HeldOut, scratch
from volproc.stages.train.region_counts import Counts, Mask, Masks, Scores, counts_of
from volproc.stages.train.targets import Bytes

THRESHOLD = 0.5
FUSED: Fusion = "mean"
"""How votes are fused unless a model says otherwise."""
SCORES = ("dice", "boundary_f", "pq")
Table = Mapping[tuple[str, str], Scores]
"""SCORES by class and by axis ("z") or fusion ("mean")."""


@dataclass(frozen=True)
class Validator:
    """Scores a network on whole regions, along each axis and fused, class by class."""

    regions: Sequence[HeldOut]
    classes: tuple[str, ...]
    axes: str
    voxel_nm: VoxelNm
    tolerance_nm: float
    """Within which surfaces agree."""
    device: str

    def __call__(self, network: PlaneNetwork) -> Scores:
        """The scores by the names in `names`, None where there is nothing on either side."""
        return self.named(self.table(network, fusions=(FUSED,)))

    @property
    def names(self) -> tuple[str, ...]:
        """Such as dice (fused, the mean of the classes), dice_er (of one) and dice_er_z."""
        return tuple(name for name, _ in self._columns())

    def named(self, table: Table) -> Scores:
        """What stands in the log of a table."""
        found: Scores = {}
        for name, (score, classes, answer) in self._columns():
            known = [v for one in classes if (v := table[one, answer][score]) is not None]
            found[name] = fmean(known) if known else None
        return found

    def table(
        self,
        network: PlaneNetwork,
        *,
        temperatures: Sequence[float] = (),
        fusions: Sequence[Fusion] = FUSIONS,
    ) -> Table:
        """All scores of a network with these temperatures."""
        predict = Predictor(copy.deepcopy(network), self.device, temperatures=temperatures)
        names = (*self.axes, *fusions)
        counts: dict[tuple[str, str], Counts] = {}
        for region in self.regions:
            answers = self._answers(region, predict, fusions)
            for number, name in enumerate(self.classes):
                found = counts_of(
                    region.box.shape,
                    partial(_masks, region.known[number], answers[number], len(names)),
                    voxel_nm=self.voxel_nm,
                    tolerance_nm=self.tolerance_nm,
                )
                for key, own in zip(((name, one) for one in names), found, strict=True):
                    counts[key] = counts[key] + own if key in counts else own
        tolerance = self.tolerance_nm
        return {key: one.scores(self.voxel_nm, tolerance) for key, one in counts.items()}

    def _answers(self, region: HeldOut, predict: Predict, fusions: Sequence[Fusion]) -> Bytes:
        """Of each class and voxel a bit for each axis alone, and for each mode of fusing them."""
        answers = scratch((len(self.classes), *region.box.shape))
        for block in region.blocks:
            index = block.within(region.box.start).slices
            for own, votes in zip(answers, region.votes(predict, self.device, block), strict=True):
                for bit, mask in enumerate(_inside(votes, fusions)):
                    own[index] |= mask.astype(np.uint8) << np.uint8(bit)
        return answers

    def _columns(self) -> Iterator[tuple[str, tuple[str, tuple[str, ...], str]]]:
        """Name of a score in the log -> the score, the classes it is of, and the answer."""
        for score in SCORES:
            yield score, (score, self.classes, FUSED)
            several = self.classes if len(self.classes) > 1 else ()
            for name in several:
                yield f"{score}_{name}", (score, (name,), FUSED)
            for name in self.classes:
                for axis in self.axes:
                    words = (score, name, axis) if several else (score, axis)
                    yield "_".join(words), (score, (name,), axis)


def tolerance_of(voxel_nm: VoxelNm, stated_nm: float) -> float:
    """Within which surfaces agree, in nm: as stated, else two voxels, and one along each axis."""
    return stated_nm or max(2 * min(voxel_nm), *voxel_nm)


def _inside(votes: Bytes, fusions: Sequence[Fusion]) -> Iterator[Mask]:
    """The mask of each axis alone, and of each mode of fusing them."""
    yield from votes >= level_of(THRESHOLD)
    for mode in fusions:
        yield fuse(votes, mode=mode, threshold=THRESHOLD) >= level_of(THRESHOLD)


def _masks(known: Bytes, answers: Bytes, count: int, box: Box) -> Masks:
    """Of one class in a box: what is known, and so many answers."""
    here, there = known[box.slices], answers[box.slices]
    return Masks(
        (here & TRUE) > 0,
        (here & KNOWN) > 0,
        [(there >> np.uint8(bit) & np.uint8(1)).astype(np.bool_) for bit in range(count)],
    )

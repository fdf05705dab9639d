"""The scores of a network on regions that it is not trained on: those of predict and evaluate."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from volproc.fusion import FUSIONS, Fusion, fuse, level_of
from volproc.grid.scale import VoxelNm
from volproc.model.predictor import Predictor
from volproc.model.weights import PlaneNetwork
from volproc.stages.objects.components import label_components
from volproc.stages.scores.contingency import Contingency, block_contingency
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.stages.scores.surface_elements import surface_elements
from volproc.stages.scores.surface_sums import NOTHING, Surface, distances_of, surface_sums
from volproc.stages.train.held_out import HeldOut
from volproc.stages.train.pairs import Truth

THRESHOLD = 0.5
FUSED: Fusion = "mean"
"""How votes are fused unless a model says otherwise."""
MOST_NM = 500.0
"""Distances between surfaces that are larger count as this, as in [evaluate]."""
SCORES = ("dice", "boundary_f", "pq")
Mask = npt.NDArray[np.bool_]
Scores = dict[str, float | None]
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
        counts: dict[tuple[str, str], Counts] = {}
        for region in self.regions:
            votes = region.votes(predict, self.device)
            for number, name in enumerate(self.classes):
                truth = region.truths[number]
                for answer, inside in self._answers(votes[number], fusions):
                    key = name, answer
                    own = self._counts(truth, inside)
                    counts[key] = counts[key] + own if key in counts else own
        tolerance = self.tolerance_nm
        return {key: one.scores(self.voxel_nm, tolerance) for key, one in counts.items()}

    def _answers(
        self, votes: npt.NDArray[np.uint8], fusions: Sequence[Fusion]
    ) -> Iterator[tuple[str, Mask]]:
        """The mask of each axis alone, and of each mode of fusing them."""
        for axis, own in zip(self.axes, votes, strict=True):
            yield axis, own >= level_of(THRESHOLD)
        for mode in fusions:
            yield mode, fuse(votes, mode=mode, threshold=THRESHOLD) >= level_of(THRESHOLD)

    def _counts(self, truth: Truth, inside: Mask) -> Counts:
        """What a mask of a region has in common with the truth, where that is known."""
        known = truth.weight > 0
        return Counts.of(truth.target > 127, inside, known, self.voxel_nm)

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


@dataclass(frozen=True)
class Counts:
    """What a result and the truth have in common, which adds up over regions."""

    both: int
    either: int
    """Voxels of the result and of the truth together, those of both twice."""
    surfaces: SparseSums
    iou: float
    """Of all objects that match."""
    objects: float
    """TP + FP / 2 + FN / 2."""

    @classmethod
    def of(cls, truth: Mask, result: Mask, known: Mask, voxel_nm: VoxelNm) -> Counts:
        """Of one region, where it is known; objects are connected components."""
        ignored = None if known.all() else ~known
        real, found = truth & known, result & known
        sides = (
            Surface(surface_elements(m, at_border=False, ignored=ignored), voxel_nm, MOST_NM)
            for m in (truth, result)
        )
        pairs = block_contingency(*(label_components(m, connectivity=26)[0] for m in (real, found)))
        objects = Contingency.of(pairs).scores()
        tp, fp, fn = (objects[f"objects_{n}"] or 0 for n in ("tp", "fp", "fn"))
        return cls(
            int(np.count_nonzero(real & found)),
            int(np.count_nonzero(real)) + int(np.count_nonzero(found)),
            surface_sums(*sides, start=(0, 0, 0), stop=truth.shape),
            (objects["sq"] or 0.0) * tp,
            tp + (fp + fn) / 2,
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.both + other.both,
            self.either + other.either,
            SparseSums.added([self.surfaces, other.surfaces], nothing=NOTHING),
            self.iou + other.iou,
            self.objects + other.objects,
        )

    def scores(self, voxel_nm: VoxelNm, tolerance_nm: float) -> Scores:
        """SCORES; None where neither side has anything."""
        distances = distances_of(self.surfaces, nm=voxel_nm)
        boundary = distances.scores([tolerance_nm])[f"bf_{tolerance_nm:g}"]
        return {
            "dice": 2 * self.both / self.either if self.either else None,
            "boundary_f": None if distances.is_nothing else boundary,
            "pq": self.iou / self.objects if self.objects else None,
        }


def tolerance_of(voxel_nm: VoxelNm, stated_nm: float) -> float:
    """Within which surfaces agree, in nm: as stated, else two voxels, and one along each axis."""
    return stated_nm or max(2 * min(voxel_nm), *voxel_nm)

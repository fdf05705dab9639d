"""What answers have in common with the truth in a region, of which blocks are looked at in turn.

    block + halo ─▶ truth, known, answers ─┬▶ voxels ─────────────────┐
                                           ├▶ surfaces, whole numbers ┼▶ add up over blocks
                                           └▶ components ─ pairs of ids, united across borders

No block size changes a voxel, a surface or an object: scores are those of the whole region at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from volproc.grid.blocks import Block, Tiling, forward_steps
from volproc.grid.box import Box, Shape, each
from volproc.grid.scale import VoxelNm
from volproc.stages.objects.components import Labels, touching_ids
from volproc.stages.objects.runs import runs_of
from volproc.stages.scores.contingency import NOTHING as NO_PAIRS
from volproc.stages.scores.contingency import Contingency, block_contingency
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.stages.scores.surface_elements import surface_elements
from volproc.stages.scores.surface_sums import (
    NOTHING,
    Surface,
    distances_of,
    halo_of,
    surface_sums,
)

BLOCK: Shape = (128, 256, 256)
"""Voxels that are counted together."""
STEPS = forward_steps(26)
Mask = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.uint64]
Scores = dict[str, float | None]


class Masks(NamedTuple):
    """Of one class in a box; arrays (z, y, x)."""

    truth: Mask
    known: Mask
    """Where it counts."""
    answers: Sequence[Mask]


@dataclass(frozen=True)
class Counts:
    """What an answer and the truth have in common, which adds up over regions."""

    both: int
    either: int
    """Voxels of the answer and of the truth together, those of both twice."""
    surfaces: SparseSums
    """Distances beyond the tolerance count as more than that."""
    iou: float
    """Of all objects that match."""
    objects: float
    """TP + FP / 2 + FN / 2."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.both + other.both,
            self.either + other.either,
            SparseSums.added([self.surfaces, other.surfaces], nothing=NOTHING),
            self.iou + other.iou,
            self.objects + other.objects,
        )

    def scores(self, voxel_nm: VoxelNm, tolerance_nm: float) -> Scores:
        """Dice, boundary_f and pq; None where neither side has anything."""
        distances = distances_of(self.surfaces, nm=voxel_nm)
        boundary = distances.scores([tolerance_nm])[f"bf_{tolerance_nm:g}"]
        return {
            "dice": 2 * self.both / self.either if self.either else None,
            "boundary_f": None if distances.is_nothing else boundary,
            "pq": self.iou / self.objects if self.objects else None,
        }


def counts_of(
    shape: Shape,
    read: Callable[[Box], Masks],
    *,
    voxel_nm: VoxelNm,
    tolerance_nm: float,
    block: Shape = BLOCK,
) -> list[Counts]:
    """Of each answer the counts in a region of `shape`; `read` gives the masks of a box of it.

    Only what is known counts; objects are connected components.
    """
    # all that the tolerance asks of a distance is whether it is larger
    most_nm = tolerance_nm + max(voxel_nm)
    z, y, x = halo_of(voxel_nm, most_nm)
    blocks = Tiling(shape, block, (z, y, x))
    truths, tallies = _Components(blocks), list[_Tally]()
    for one in blocks:
        masks = read(one.read)
        own = one.core.within(one.read.start)
        ignored = None if masks.known.all() else ~masks.known
        surfaces = (
            Surface(surface_elements(mask, at_border=False, ignored=ignored), voxel_nm, most_nm)
            for mask in (masks.truth, *masks.answers)
        )
        of_truth, *of_answers = surfaces
        real = (masks.truth & masks.known)[own.slices]
        ids = truths.add(one, real)
        tallies = tallies or [_Tally(_Components(blocks)) for _ in masks.answers]
        for tally, answer, surface in zip(tallies, masks.answers, of_answers, strict=True):
            tally.surfaces.append(surface_sums(of_truth, surface, start=own.start, stop=own.stop))
            tally.add(one, real, ids, (answer & masks.known)[own.slices])
    return [tally.counts(truths) for tally in tallies]


@dataclass
class _Tally:
    """What blocks have told of one answer so far."""

    components: _Components
    both: int = 0
    either: int = 0
    surfaces: list[SparseSums] = field(default_factory=list)
    pairs: list[SparseSums] = field(default_factory=list)

    def add(self, block: Block, real: Mask, ids: Ids, found: Mask) -> None:
        """A block's truth, its ids, and the answer."""
        self.both += int(np.count_nonzero(real & found))
        self.either += int(np.count_nonzero(real)) + int(np.count_nonzero(found))
        self.pairs.append(block_contingency(ids, self.components.add(block, found)))

    def counts(self, truths: _Components) -> Counts:
        """Those of all blocks."""
        pairs = SparseSums.added(self.pairs, nothing=NO_PAIRS)
        sides = (truths.united(), self.components.united())
        keys = [united[ids] for united, ids in zip(sides, pairs.keys.T, strict=True)]
        table = SparseSums.of(np.stack(keys, axis=1), pairs.counts)
        objects = Contingency.of(table).scores()
        tp, fp, fn = (objects[f"objects_{n}"] or 0 for n in ("tp", "fp", "fn"))
        return Counts(
            self.both,
            self.either,
            SparseSums.added(self.surfaces, nothing=NOTHING),
            (objects["sq"] or 0.0) * tp,
            tp + (fp + fn) / 2,
        )


@dataclass
class _Components:
    """Components of a mask that comes in blocks, in their order."""

    blocks: Tiling
    count: int = 0
    _borders: dict[int, dict[Shape, tuple[int, Labels]]] = field(default_factory=dict)
    """Of blocks by their number, towards neighbours that are still to come; and their first id."""
    _pairs: list[Ids] = field(default_factory=list)
    """Ids on both sides of a border that are one component."""

    def add(self, block: Block, mask: Mask) -> Ids:
        """Ids of a block's components, each block's its own; 0 is background."""
        found = runs_of(mask).connected(26)
        first = self.count
        for number, back in self.blocks.neighbours(block.index, map(_opposite, STEPS)):
            step = _opposite(back)
            there, near = self._borders[number][step]
            pairs = touching_ids(near, found.border(back), step=step, connectivity=26)
            self._pairs.append(pairs.astype(np.uint64) + np.array([there, first], np.uint64))
        self._borders[block.index] = {step: (first, found.border(step)) for step in STEPS}
        _, rows, columns = self.blocks.counts
        self._borders.pop(block.index - rows * columns - columns - 1, None)
        self.count += found.count
        ids = np.arange(first, self.count + 1, dtype=np.uint64)
        ids[0] = 0
        return found.painted(ids)

    def united(self) -> Ids:
        """By the ids of `add` those of whole components."""
        pairs = np.concatenate([np.empty((0, 2), np.uint64), *self._pairs]).astype(np.int64)
        size = self.count + 1
        links = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(size, size))
        found: Ids = connected_components(links, directed=False)[1].astype(np.uint64)
        return found


def _opposite(step: Shape) -> Shape:
    return each(lambda n: -n, step)

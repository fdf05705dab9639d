"""What one block counts: the results, sampled on the grid of the ground truth, against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Block
from volproc.grid.box import Box, Shape
from volproc.stages.evaluate.block_surfaces import SurfaceTask
from volproc.stages.evaluate.block_tables import (
    PAIRS,
    SURFACES,
    SWEEPS,
    TableFiles,
    keyed,
    nothing_of,
)
from volproc.stages.evaluate.overlap import overlap_by_slice
from volproc.stages.evaluate.result import Answer, Result
from volproc.stages.scores.contingency import block_contingency
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.volume.kinds import labelled
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.sampling import Sampling
from volproc.volume.store import Volume

Mask = npt.NDArray[np.bool_]

BLOCK_VOXELS = 2**23
THICKNESS = 32
WORKING_BYTES = 16
"""Per voxel that a block reads: masks of both sides and their sampling, the sum of votes in uint16
and its rounding, codes of corners, and the elements of surfaces with their trees."""


class Loaded(NamedTuple):
    """Voxels of the ground truth, of every result, and of what is ignored."""

    truth: npt.NDArray[Any]
    results: list[npt.NDArray[Any]]
    ignore: npt.NDArray[Any] | None


class BlockScores(NamedTuple):
    """TP, FP and FN per slice of each answer, the labels that occur, each volume's highest value;
    and the tables."""

    counts: dict[str, npt.NDArray[np.int64]]
    labels: list[int]
    highest: dict[str, int]
    tables: dict[str, SparseSums]


@dataclass(frozen=True)
class Ignored:
    """A mask on the grid of the ground truth: voxels that are not 0 there do not count."""

    volume: Volume
    sampling: Sampling

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Its voxels on a box."""
        return self.sampling.sample(self.volume.read(self.sampling.source(box)), box)


@dataclass(frozen=True)
class ScoreBlocks:
    """Task: what every answer has in common with the ground truth in one block, within `scored`."""

    truth: Volume
    labels: tuple[int, ...]
    results: tuple[Result, ...]
    scored: Box
    files: TableFiles
    surfaces: SurfaceTask | None = None
    ignore: Ignored | None = None
    objects: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all answers, whose places stand for them in tables."""
        return tuple(name for result in self.results for name in result.names)

    def core(self, block: Block) -> Box:
        """The voxels that a block counts."""
        return block.core.clip(self.scored)

    def box(self, block: Block) -> Box:
        """The voxels that it reads."""
        core = self.core(block)
        return core.grow(self.surfaces.halo).clip(self.scored) if self.surfaces else core

    def load(self, block: Block) -> Loaded:
        """Voxels of all volumes."""
        box = self.box(block)
        return Loaded(
            self.truth.read(box),
            [result.read(box) for result in self.results],
            self.ignore.read(box) if self.ignore else None,
        )

    def compute(self, block: Block, loaded: Loaded) -> BlockScores:
        """Counts of every answer, and what tells a wrong input."""
        box, core = self.box(block), self.core(block).within(self.box(block).start)
        truth = labelled(loaded.truth, self.labels, what=f"{self.truth.info.url}, voxels {box},")
        ignored = None if loaded.ignore is None else loaded.ignore != 0
        sides = _Sides(truth, ignored, box, core)
        surfaces = self.surfaces.of_block(truth, ignored, box, core) if self.surfaces else None
        counts: dict[str, npt.NDArray[np.int64]] = {}
        rows: dict[str, list[SparseSums]] = {SURFACES: [], PAIRS: [], SWEEPS: []}
        for n, answer in enumerate(self._answers(loaded, box)):
            counts[answer.name] = sides.overlap(answer)
            rows[SWEEPS] += [keyed([n], one) for one in sides.sweep(answer)]
            if surfaces:
                rows[SURFACES] += [keyed([n, z], one) for z, one in surfaces.against(answer.inside)]
        if self.objects:
            rows[PAIRS] += self._pairs(loaded, sides)
        given = zip(self.results, loaded.results, strict=True)
        masks = ((r.name, v) for r, v in given if not r.volume.info.channels)
        return BlockScores(
            counts,
            [v for v in self.labels if (loaded.truth[core.slices] == v).any()],
            {name: int(values.max(initial=0)) for name, values in masks},
            {name: SparseSums.added(own, nothing=nothing_of(name)) for name, own in rows.items()},
        )

    def store(self, block: Block, result: BlockScores) -> dict[str, Any]:
        """Leave the tables in a file; the counts are the record."""
        return {
            "block": block.index,
            "first": self.core(block).start[0],
            "counts": {name: values.tolist() for name, values in result.counts.items()},
            "labels": result.labels,
            "highest": result.highest,
            "tables": self.files.put(block.index, result.tables),
        }

    def bytes_read(self, block: Block) -> int:
        """Raw bytes that a block needs."""
        box = self.box(block)
        ignored = itemsize(self.ignore.volume.info.dtype) if self.ignore else 0
        own = box.size * (itemsize(self.truth.info.dtype) + ignored)
        return own + sum(result.bytes_read(box) for result in self.results)

    def peak_bytes(self, block: Block) -> int:
        """Memory that a block needs at most."""
        box = self.box(block)
        sources = (result.sampling.source(box).size for result in self.results)
        return self.bytes_read(block) + WORKING_BYTES * max(box.size, *sources)

    def _answers(self, loaded: Loaded, box: Box) -> Iterator[Answer]:
        for result, values in zip(self.results, loaded.results, strict=True):
            yield from result.answers(values, box)

    def _pairs(self, loaded: Loaded, sides: _Sides) -> Iterator[SparseSums]:
        truth = sides.ids(loaded.truth)
        for result, values in zip(self.results, loaded.results, strict=True):
            if result.has_objects:
                found = sides.counted(result.ids(values, sides.box))
                yield keyed([self.names.index(result.name)], block_contingency(truth, found))


@dataclass(frozen=True)
class _Sides:
    """The ground truth of a block, and what of it counts: `core` in the voxels of `box`."""

    truth: Mask
    ignored: Mask | None
    box: Box
    core: Box

    def counted(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The core's values; 0 where they are ignored."""
        own = values[self.core.slices]
        return own if self.ignored is None else np.where(self.ignored[self.core.slices], 0, own)

    def ids(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Ids of the ground truth in the core; 0 where they do not count."""
        inside = self.counted(self.truth)
        return np.where(inside, labels[self.core.slices], 0).astype(labels.dtype, copy=False)

    def overlap(self, answer: Answer) -> npt.NDArray[np.int64]:
        """TP, FP and FN of every slice, shape (slices, 3)."""
        return overlap_by_slice(self.counted(answer.inside), self.counted(self.truth))

    def sweep(self, answer: Answer) -> Iterator[SparseSums]:
        """Voxels by their level, outside and inside of the truth."""
        if answer.levels is None:
            return
        levels, inside = answer.levels[self.core.slices], self.truth[self.core.slices]
        codes = levels + np.uint16(256) * inside
        if self.ignored is not None:
            codes = codes[~self.ignored[self.core.slices]]
        counts = np.bincount(codes.reshape(-1), minlength=512)
        there = np.flatnonzero(counts)
        yield SparseSums(np.stack(np.divmod(there, 256), axis=1), counts[there])


def block_of(truth: VolumeInfo, halo: Shape = (0, 0, 0)) -> Shape:
    """Whole chunks of `truth`: few slices, and as wide as 8 million voxels allow.

    Wide rather than thick, because a block's record holds counts for each of its slices; but at
    least twice as thick as its `halo`.
    """
    (thick, rows, columns), (_, height, width) = truth.levels[0].chunks, truth.shape
    depth = thick * ceil(max(THICKNESS, 2 * halo[0]) / thick)
    across = min(-(-width // columns), max(1, BLOCK_VOXELS // (depth * rows * columns)))
    down = min(-(-height // rows), max(1, BLOCK_VOXELS // (depth * rows * columns * across)))
    return depth, rows * down, columns * across

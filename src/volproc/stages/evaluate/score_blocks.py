"""What one block counts: the results, sampled on the grid of the ground truth, against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, isqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Block
from volproc.grid.box import Box, Shape
from volproc.stages.evaluate.against import Against
from volproc.stages.evaluate.block_surfaces import BlockView, SurfaceTask
from volproc.stages.evaluate.block_tables import KEYS, PAIRS, TableFiles, keyed, nothing_of
from volproc.stages.evaluate.result import Answer, Result, Target
from volproc.stages.scores.contingency import block_contingency
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.sampling import Sampling
from volproc.volume.store import Volume

BLOCK_VOXELS = 2**23
THICKNESS = 32
WORKING_BYTES = 16
"""Per voxel of either side: masks and their sampling, the sum of votes in uint16, its rounding."""
SURFACE_BYTES = 70
"""Per voxel of a box with a halo, in the worst case: every corner is an element of both surfaces
(noise). Of smooth surfaces it is a tenth."""


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
    targets: tuple[Target, ...]
    results: tuple[Result, ...]
    scored: Box
    files: TableFiles
    surfaces: SurfaceTask | None = None
    ignore: Ignored | None = None
    objects: bool = False
    reference: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all answers, whose places stand for them in tables."""
        return tuple(
            n for target in self.targets for one in self.results for n in one.names(target)
        )

    @property
    def in_full(self) -> frozenset[str]:
        """Names of the answers that are scored by more than their overlap."""
        full = [one for one in self.results if one.in_full]
        return frozenset(n for target in self.targets for one in full for n in one.names(target))

    @property
    def labels(self) -> tuple[int, ...]:
        """Values of the ground truth that were asked for."""
        return tuple(value for target in self.targets for value in target.values)

    @property
    def on_gpu(self) -> bool:
        """Whether surfaces are compared on a GPU."""
        return bool(self.surfaces and self.surfaces.in_space and self.surfaces.device == "cuda")

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
        view = self._view(block, loaded)
        counts: dict[str, npt.NDArray[np.int64]] = {}
        rows: dict[str, list[SparseSums]] = {name: [] for name in KEYS}
        for target in self.targets:
            truth = target.within(loaded.truth, what=f"{self.truth.info.url}, voxels {view.box},")
            against = Against(view, truth, self.surfaces, reference=self.reference)
            for answer in self._answers(loaded, view.box, target):
                number = self.names.index(answer.name)
                counts[answer.name] = against.overlap(answer)
                for name, one in against.tables(answer) if answer.name in self.in_full else ():
                    rows[name].append(keyed([number], one))
            if self.objects:
                rows[PAIRS] += self._pairs(loaded, against)
        core = view.core.slices
        given = zip(self.results, loaded.results, strict=True)
        masks = ((r.name, v) for r, v in given if not r.volume.info.channels)
        return BlockScores(
            counts,
            [value for value in self.labels if (loaded.truth[core] == value).any()],
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
        surfaces = SURFACE_BYTES * box.size if self.surfaces else 0
        return self.bytes_read(block) + WORKING_BYTES * max(box.size, *sources) + surfaces

    def _view(self, block: Block, loaded: Loaded) -> BlockView:
        box = self.box(block)
        ignored = None if loaded.ignore is None else loaded.ignore != 0
        return BlockView(box, self.core(block).within(box.start), ignored)

    def _answers(self, loaded: Loaded, box: Box, target: Target) -> Iterator[Answer]:
        for result, values in zip(self.results, loaded.results, strict=True):
            yield from result.answers(values, box, target)

    def _pairs(self, loaded: Loaded, against: Against) -> Iterator[SparseSums]:
        truth = against.ids(loaded.truth)
        for result, values in zip(self.results, loaded.results, strict=True):
            if result.has_objects:
                found = against.view.counted(result.ids(values, against.view.box))
                yield keyed([self.names.index(result.name)], block_contingency(truth, found))


def block_of(truth: VolumeInfo, halo: Shape = (0, 0, 0)) -> Shape:
    """Whole chunks of `truth`: few slices, and as wide as 8 million voxels allow.

    Wide rather than thick, because a block's record holds counts for each of its slices. With a
    `halo`, which costs least around a square: as wide as long, and at least twice as thick as it.
    """
    (thick, rows, columns), (_, height, width) = truth.levels[0].chunks, truth.shape
    depth = thick * ceil(max(THICKNESS, 2 * halo[0]) / thick)
    plane = BLOCK_VOXELS // depth
    widest = isqrt(plane) if any(halo) else plane // rows
    across = min(-(-width // columns), max(1, widest // columns))
    down = min(-(-height // rows), max(1, plane // (rows * columns * across)))
    return depth, rows * down, columns * across

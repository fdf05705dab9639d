"""The two passes over blocks: counts of voxels, and profiles along the axes that follow from them.

Blocks leave sums in files of a folder; the client adds them up, so it holds a row per object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.engine.protocol import Step
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape, whole_box
from volproc.grid.scale import VoxelNm
from volproc.stages.doubt.profiles import (
    NO_ROWS,
    axis_profiles,
    main_axes,
    slice_areas,
    slice_jumps,
)
from volproc.stages.doubt.voxel_counts import (
    COLUMNS,
    FAR,
    MOST_AXES,
    no_votes,
    object_counts,
    votes_of,
)
from volproc.stages.doubt.weak_cells import NO_CELLS, Cells
from volproc.stages.objects.array_files import Packed, packed, read_packed
from volproc.stages.objects.components import Ids, equal_values
from volproc.stages.objects.sampled_volume import SampledVolume
from volproc.stages.objects.statistics import Statistics, block_statistics, joined
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.volume.file_io import write_file
from volproc.volume.kinds import refuse_negative
from volproc.volume.metadata import itemsize
from volproc.volume.store import Volume

WORKING_BYTES = 30
"""Per voxel: ids from 1, with a layer around; sums, spread and bits of the votes; copies."""
AXES_FILE = "axes"


@dataclass(frozen=True)
class BlockFiles:
    """Where blocks leave their sums."""

    folder: str
    digest: str

    def save(self, name: str, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Store arrays under a name."""
        write_file(f"{self.folder}/{name}", packed(arrays, digest=self.digest))

    def load(self, name: str) -> Packed:
        """What `save` stored; LedgerError if it is of other options."""
        return read_packed(f"{self.folder}/{name}", digest=self.digest)


class BlockCounts(NamedTuple):
    """What the first pass knows of a block: rows by ids, and sparse sums.

    `around` are the ids of the counts: those of `ids`, and of objects that only touch a corner.
    """

    ids: Ids
    objects: Statistics
    around: Ids
    counts: npt.NDArray[np.int64]
    areas: SparseSums
    cells: SparseSums

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All of it by name."""
        return {
            "ids": self.ids,
            "objects": self.objects.rows,
            "around": self.around,
            "counts": self.counts,
            "areas keys": self.areas.keys,
            "areas": self.areas.counts,
            "cells keys": self.cells.keys,
            "cells": self.cells.counts,
        }

    @classmethod
    def of(cls, stored: Any) -> BlockCounts:
        """From what `arrays` named."""
        return cls(
            stored["ids"],
            Statistics(stored["objects"]),
            stored["around"],
            stored["counts"],
            SparseSums(stored["areas keys"], stored["areas"]),
            SparseSums(stored["cells keys"], stored["cells"]),
        )


def block_counts(
    labels: npt.NDArray[Any],
    values: npt.NDArray[np.uint8] | None,
    *,
    level: int,
    core: Box,
    shape: Shape,
) -> BlockCounts:
    """Sums over the `core` of a volume of `shape`, from labels and votes around it (`around`).

    Votes have a channel for each axis, or none.
    """
    votes = no_votes(labels.shape) if values is None else votes_of(values, level=level)
    box = around(core, shape)
    local, ids = equal_values(labels)
    rows = object_counts(local, len(ids), votes, box=box, core=core, shape=shape)
    here = core.within(box.start).slices
    inner = np.ascontiguousarray(local[here])
    objects = block_statistics(inner, len(ids), origin=core.start, shape=shape)
    there, touched = objects.voxels > 0, (rows != 0).any(axis=1)
    return BlockCounts(
        ids[there],
        objects.take(there),
        ids[touched],
        rows[touched],
        slice_areas(inner, ids, first=core.start[0]),
        Cells.over(shape).add(inner, votes.weak[here], core=core),
    )


def around(core: Box, shape: Shape) -> Box:
    """FAR voxels more than the core on every side."""
    return core.grow((FAR,) * 3).clip(whole_box(shape))


@dataclass(frozen=True)
class CountVoxels:
    """Task: statistics, counts, sections and weak cells of one block."""

    labels: Volume
    votes: SampledVolume | None
    level: int
    files: BlockFiles

    def load(self, block: Block) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
        """Labels and votes, with FAR voxels around the core."""
        box = around(block.core, self.labels.info.shape)
        return self.labels.read(box), self.votes.read(box) if self.votes else None

    def compute(
        self, block: Block, loaded: tuple[npt.NDArray[Any], npt.NDArray[Any] | None]
    ) -> BlockCounts:
        """Sums of the core."""
        labels, values = loaded
        refuse_negative(labels, what=f"{self.labels.info.url}, voxels {block.core},")
        shape = self.labels.info.shape
        return block_counts(labels, values, level=self.level, core=block.core, shape=shape)

    def store(self, block: Block, result: BlockCounts) -> dict[str, int]:
        """Leave them in a file."""
        self.files.save(f"{block.index}.counts", result.arrays())
        return {"objects": len(result.ids)}


@dataclass(frozen=True)
class CountProfiles:
    """Task: profiles of the objects of one block along their longest axes (`AXES_FILE`)."""

    labels: Volume
    files: BlockFiles

    def load(self, block: Block) -> npt.NDArray[Any]:
        """Labels."""
        return self.labels.read(block.core)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> SparseSums:
        """Voxels by id and slab."""
        local, ids = equal_values(loaded)
        if not len(ids):
            return NO_ROWS
        known = self.files.load(AXES_FILE)
        axes = known["axes"][np.searchsorted(known["ids"], ids)]
        voxel_nm = self.labels.info.voxel_nm
        return axis_profiles(local, ids, axes, origin=block.core.start, voxel_nm=voxel_nm)

    def store(self, block: Block, result: SparseSums) -> dict[str, int]:
        """Leave them in a file."""
        self.files.save(f"{block.index}.profiles", {"keys": result.keys, "counts": result.counts})
        return {"rows": len(result)}


def count_step(task: CountVoxels, *, tiling: Tiling, digest: str) -> Step:
    """The first pass."""
    core, per_voxel = tiling[0].core, itemsize(task.labels.info.dtype)
    box = core.grow((FAR,) * 3)
    under = task.votes.bytes_under(box) if task.votes else 0
    return Step(
        name="doubt: count",
        task=task,
        blocks=tiling,
        digest=digest,
        peak_bytes=box.size * (per_voxel + WORKING_BYTES) + 2 * under,
        bytes_read=len(tiling) * (box.size * per_voxel + under),
    )


def profile_step(task: CountProfiles, *, tiling: Tiling, digest: str) -> Step:
    """The second pass."""
    core, per_voxel = tiling[0].core, itemsize(task.labels.info.dtype)
    return Step(
        name="doubt: profiles",
        task=task,
        blocks=tiling,
        digest=digest,
        peak_bytes=core.size * (per_voxel + 8),
        bytes_read=len(tiling) * core.size * per_voxel,
    )


class Counted(NamedTuple):
    """All objects of a volume by ascending id, after the first pass.

    `jumps` are the largest steps of their sections, `lumps` the weak voxels of what may be missed.
    """

    ids: Ids
    objects: Statistics
    counts: npt.NDArray[np.int64]
    jumps: npt.NDArray[np.float64]
    lumps: npt.NDArray[np.int64]

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """One of COLUMNS, of every object."""
        return self.counts[:, COLUMNS.index(name)].astype(np.float64)

    def yes(self, axes: int) -> npt.NDArray[np.float64]:
        """Voxels to which each axis says yes, shape (n, axes)."""
        first = COLUMNS.index("yes_0")
        return self.counts[:, first : first + min(axes, MOST_AXES)].astype(np.float64)


def counted(blocks: Sequence[BlockCounts], shape: Shape) -> Counted:
    """The first pass of all blocks of a volume of `shape`, added up."""
    ids, group = np.unique(np.concatenate([one.ids for one in blocks]), return_inverse=True)
    counts = np.zeros((len(ids), len(COLUMNS)), np.int64)
    for one in blocks:
        np.add.at(counts, np.searchsorted(ids, one.around), one.counts)
    areas = SparseSums.added((one.areas for one in blocks), nothing=NO_ROWS)
    cells = SparseSums.added((one.cells for one in blocks), nothing=NO_CELLS)
    return Counted(
        ids,
        joined(one.objects for one in blocks).merged(group, count=len(ids)),
        counts,
        slice_jumps(areas, ids, depth=shape[0]),
        Cells.over(shape).lumps(cells),
    )


def stored_counts(files: BlockFiles, tiling: Tiling) -> list[BlockCounts]:
    """What the first pass left of all blocks."""
    return [BlockCounts.of(files.load(f"{n}.counts")) for n in range(len(tiling))]


def axes_of(found: Counted, *, voxel_nm: VoxelNm) -> dict[str, npt.NDArray[Any]]:
    """What the second pass reads from AXES_FILE."""
    return {"ids": found.ids, "axes": main_axes(found.objects, voxel_nm=voxel_nm)}


def stored_profiles(files: BlockFiles, tiling: Tiling) -> SparseSums:
    """What the second pass left of all blocks, added up."""
    blocks = (files.load(f"{n}.profiles") for n in range(len(tiling)))
    parts = (SparseSums(block["keys"], block["counts"]) for block in blocks)
    return SparseSums.added(parts, nothing=NO_ROWS)

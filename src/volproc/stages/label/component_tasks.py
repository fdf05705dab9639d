"""The two passes over the blocks: find components for the merge; find them again and renumber.

Finding them twice is cheaper than storing them: labelling a block takes less time than writing and
reading its ids.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.grid.blocks import Block, Connectivity, Tiling
from volproc.grid.box import Box, Shape
from volproc.stages.label.block_table import BlockTable, block_table, ids_at_border
from volproc.stages.label.criteria import Criteria
from volproc.stages.label.mask_source import Source
from volproc.stages.label.merge_tables import Tables
from volproc.stages.objects.components import (
    Labels,
    most_at_border,
    most_components,
)
from volproc.stages.objects.runs import Groups, runs_of
from volproc.volume.kinds import foreground, refuse_negative
from volproc.volume.store import Volume

FACES: tuple[Shape, ...] = ((-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, 1), (0, 1, 0), (1, 0, 0))
"""Steps to the neighbours that share a face; borders along edges and corners are parts of faces."""
PLANNED_ROWS = 2**18
"""Components that any block may report to the merge, however small it is."""


@dataclass(frozen=True)
class Components:
    """How a block's components are found: with the same ids every time."""

    mask: Source
    level: float
    connectivity: Connectivity
    input: str

    def find(self, core: Box, values: npt.NDArray[Any]) -> Groups:
        """The components of a block, with ids from 1."""
        where = f"{self.mask.info.url}, voxels {core},"
        if self.input == "mask":
            inside = foreground(values, level=self.level, what=where)
            return runs_of(inside).connected(self.connectivity)
        refuse_negative(values, what=where)
        runs = runs_of(values)
        return runs.equal() if self.input == "labels" else runs.connected(self.connectivity)


def checksum(values: npt.NDArray[Any]) -> int:
    """A number that changes with the voxels of a block: crc32, a fraction of labelling it."""
    return zlib.crc32(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)


def most_rows(core: Shape, *, minimum: int, connectivity: Connectivity, input: str) -> int:
    """The most components of a block that the merge must know: for these a plan reserves memory.

    The worst case, or an eighth of the voxels if that is less: more than in any mask.
    """
    z, y, x = core
    voxels = z * y * x
    how: Any = {"connectivity": connectivity, "classes": input != "mask"}
    if input == "labels":
        worst = voxels
    else:
        most = most_components(core, **how)
        worst = min(most, most_at_border(core, **how) + voxels // minimum)
    return min(worst, max(PLANNED_ROWS, voxels // 8))


@dataclass(frozen=True)
class BlockObjects:
    """What the first pass finds in one block.

    `highest` is the mask's highest value if no voxel is foreground, else 0.
    """

    table: BlockTable
    faces: dict[Shape, Labels]
    highest: int
    content: int
    largest_dropped: int


@dataclass(frozen=True)
class FindComponents:
    """Task of the first pass: a table per block."""

    components: Components
    tables: Tables
    tiling: Tiling
    criteria: Criteria

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The block of the mask."""
        return self.components.mask.read(block.core)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> BlockObjects:
        """Components, their statistics, and which of them lie at a border."""
        found = self.components.find(block.core, loaded)
        count, sizes = found.count, found.sizes
        faces = {step: found.border(step) for _, step in self.tiling.neighbours(block.index, FACES)}
        of_labels = self.components.input == "labels"
        at_border = np.full(count, True) if of_labels else ids_at_border(count, faces)
        # size may be judged this early only inside: at a border it may be the tip of a large object
        inside = ~at_border & (sizes >= self.criteria.minimum)
        self._refuse_noise(block, int(np.count_nonzero(inside | at_border)))
        table = block_table(
            found,
            at_border,
            inside,
            origin=block.core.start,
            shape=self.tiling.shape,
            values=None if self.components.input == "mask" else found.values.astype(np.int64),
        )
        return BlockObjects(
            table,
            {} if of_labels else faces,
            highest=0 if count else int(loaded.max()),
            content=checksum(loaded),
            largest_dropped=int(sizes[~(inside | at_border)].max(initial=0)),
        )

    def store(self, block: Block, result: BlockObjects) -> dict[str, int]:
        """Write the table."""
        table = result.table
        self.tables.save_block(block.index, table, result.faces, content=result.content)
        rows = len(table.border) + len(table.inner)
        return {
            "components": table.count,
            "rows": rows,
            "dropped": table.count - rows,
            "largest_dropped": result.largest_dropped,
            "highest": result.highest,
            "content": result.content,
        }

    def _refuse_noise(self, block: Block, rows: int) -> None:
        most = most_rows(
            block.core.shape,
            minimum=self.criteria.minimum,
            connectivity=self.components.connectivity,
            input=self.components.input,
        )
        if rows > most:
            raise VolumeError(
                f"{self.components.mask.info.url}, voxels {block.core}, hold {rows} objects of "
                f"{self.criteria.minimum} voxels or more, {most} were planned for: more like noise "
                "than objects; raise [label] min_volume_um3 or the threshold, or make [label] "
                "block smaller (64 voxels along each axis take any input)"
            )


@dataclass(frozen=True)
class WriteLabels:
    """Task of the second pass: final ids. Blocks without objects are not read again."""

    components: Components
    tables: Tables
    output: Volume

    def load(self, block: Block) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
        """The block's final ids and the mask; None if it has no objects."""
        lookup, content = self.tables.lookup(block.index)
        if not lookup.any():
            return None
        values = self.components.mask.read(block.core)
        if checksum(values) != content:
            raise VolumeError(
                f"{self.components.mask.info.url}, voxels {block.core}, changed since components "
                f"were found in it: remove {self.tables.folder} and run the same command again"
            )
        return lookup, values

    def compute(
        self, block: Block, loaded: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None
    ) -> npt.NDArray[Any] | None:
        """The components once more, with final ids."""
        if loaded is None:
            return None
        lookup, values = loaded
        return self.components.find(block.core, values).painted(lookup)

    def store(self, block: Block, result: npt.NDArray[np.uint32] | None) -> None:
        """Write the block, even without objects: an absent chunk would count as lost."""
        self.output.write(block.core, 0 if result is None else result)

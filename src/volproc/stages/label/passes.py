"""The two passes over the blocks: find components and tell the merge; find them again and rename.

Finding them twice is cheaper than keeping them: a block is labelled in less time than its ids
take to be written and read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Block, Connectivity, Tiling
from volproc.grid.box import Shape
from volproc.stages.label.components import Labels, label_components, relabel
from volproc.stages.label.merge import BlockTable, block_borders, block_table
from volproc.stages.label.tables import Tables
from volproc.volume.foreground import foreground
from volproc.volume.store import Volume


@dataclass(frozen=True)
class Components:
    """How a block's components are found: the same ids whenever it is asked."""

    mask: Volume
    level: float
    connectivity: Connectivity

    def find(self, block: Block, values: npt.NDArray[Any]) -> tuple[Labels, int]:
        """Ids from 1 for a block of the mask, and how many there are."""
        where = f"{self.mask.info.url}, voxels {block.core},"
        inside = foreground(values, level=self.level, what=where)
        return label_components(inside, connectivity=self.connectivity)


@dataclass(frozen=True)
class Found:
    """What the first pass knows of one block. `highest` is the mask's highest value if no voxel
    is foreground, else 0.
    """

    table: BlockTable
    borders: dict[Shape, Labels]
    highest: int


@dataclass(frozen=True)
class FindComponents:
    """Task of the first pass: a table per block."""

    components: Components
    tables: Tables
    tiling: Tiling
    minimum: int

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The block of the mask."""
        return self.components.mask.read(block.core)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> Found:
        """Components, their statistics, and which of them lie at a border."""
        labels, count = self.components.find(block, loaded)
        borders = block_borders(
            labels, block, tiling=self.tiling, connectivity=self.components.connectivity
        )
        table = block_table(
            labels,
            count,
            block=block,
            shape=self.tiling.shape,
            borders=borders,
            minimum=self.minimum,
        )
        # copies, because a view would keep the whole block in memory
        kept = {step: values.copy() for step, values in borders.items()}
        return Found(table, kept, 0 if count else int(loaded.max()))

    def store(self, block: Block, result: Found) -> dict[str, int]:
        """Keep the table."""
        self.tables.save(block.index, result.table, result.borders)
        return {"components": result.table.count, "highest": result.highest}


@dataclass(frozen=True)
class WriteLabels:
    """Task of the second pass: final ids. Blocks without objects are left as they are, all 0."""

    components: Components
    tables: Tables
    output: Volume

    def load(self, block: Block) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
        """The block's final ids and the mask; None if it has no objects."""
        lookup = self.tables.load_lookup(block.index)
        return (lookup, self.components.mask.read(block.core)) if lookup.any() else None

    def compute(
        self, block: Block, loaded: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None
    ) -> npt.NDArray[Any] | None:
        """Components once more, renamed."""
        if loaded is None:
            return None
        lookup, values = loaded
        labels, _ = self.components.find(block, values)
        return relabel(labels, lookup)

    def store(self, block: Block, result: npt.NDArray[np.uint32] | None) -> None:
        """Write the block."""
        if result is not None:
            self.output.write(block.core, result)

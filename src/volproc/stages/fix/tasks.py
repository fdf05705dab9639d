"""Tasks of `fix`: one block of labels with its edits, and what changes of the pyramid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Block
from volproc.stages.edits.edit_log import edits_numbered, stored_parts
from volproc.stages.edits.edited_labels import edited
from volproc.stages.objects.array_files import packed, read_packed
from volproc.stages.objects.components import Ids, equal_values
from volproc.stages.objects.statistics import Statistics, block_statistics, joined, no_statistics
from volproc.stages.output import Coarsen
from volproc.volume.file_io import write_file
from volproc.volume.store import Volume

Labels = npt.NDArray[Any]


@dataclass(frozen=True)
class BlockObjects:
    """Where blocks leave what they know of their objects: FOLDER/12.objects of block 12."""

    folder: str
    digest: str

    def save(self, block: int, ids: Ids, objects: Statistics) -> None:
        """Store the ids of a block's objects, and a row for each."""
        content = packed({"ids": ids, "rows": objects.rows}, digest=self.digest)
        write_file(f"{self.folder}/{block}.objects", content)

    def all(self, blocks: int) -> tuple[Ids, Statistics]:
        """All objects by ascending id, from so many blocks."""
        names = (f"{self.folder}/{n}.objects" for n in range(blocks))
        found = [read_packed(name, digest=self.digest) for name in names]
        ids, group = np.unique(np.concatenate([one["ids"] for one in found]), return_inverse=True)
        rows = joined(Statistics(one["rows"]) for one in found)
        return ids, rows.merged(group, count=len(ids))


@dataclass(frozen=True)
class EditBlock:
    """Task: the labels of one block after the edits that count.

    Unless `fresh`, the output has all blocks, and one that stays as it is is not written.
    """

    labels: Volume
    output: Volume
    log_url: str
    log_id: str
    numbers: tuple[int, ...]
    found: BlockObjects
    fresh: bool

    def load(self, block: Block) -> Labels:
        """The labels before all edits."""
        return self.labels.read(block.core)

    def compute(self, block: Block, loaded: Labels) -> Labels:
        """The labels after them."""
        return edited(
            loaded.astype(self.output.info.dtype),
            block.core,
            edits_numbered(self.log_url, self.log_id, self.numbers),
            parts_of=partial(stored_parts, self.log_url, self.log_id),
            voxel_nm=self.labels.info.voxel_nm,
        )

    def store(self, block: Block, result: Labels) -> dict[str, bool]:
        """Write the block if it changed, and what is known of its objects."""
        written = write_changed(self.output, block, result, level=0, fresh=self.fresh)
        local, ids = equal_values(result)
        whole = self.output.info.shape
        count = len(ids)
        objects = (
            block_statistics(local, count, origin=block.core.start, shape=whole)
            if count
            else no_statistics()
        )
        self.found.save(block.index, ids, objects)
        return {"written": written}


@dataclass(frozen=True)
class CoarsenChanged(Coarsen):
    """Task: one shard of a coarser level, written if it changed."""

    fresh: bool = True

    def store(self, block: Block, result: Labels) -> dict[str, bool]:  # type: ignore[override]
        """Write the shard, unless it is there and the same."""
        return {
            "written": write_changed(self.volume, block, result, level=self.level, fresh=self.fresh)
        }


def write_changed(volume: Volume, block: Block, values: Labels, *, level: int, fresh: bool) -> bool:
    """Write a block unless the same is there; whether it was written."""
    same = not fresh and np.array_equal(volume.read(block.core, level), values)
    if not same:
        volume.write(block.core, values, level)
    return not same

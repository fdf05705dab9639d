"""What is done to one block of an array that is stored: computed, checked, written."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.grid.blocks import Block
from volproc.volume.file_io import read_file
from volproc.volume.kinds import refuse_negative, refuse_not_finite
from volproc.volume.store import Volume

StoredKind = Literal["image", "mask", "labels"]


@lru_cache(maxsize=1)
def _unpacked(url: str, digest: str) -> Any:
    """The array of a run, once in a worker."""
    return pickle.loads(read_file(url))


@dataclass(frozen=True)
class StoreBlock:
    """Task: one block of the array, computed and written."""

    array: Any
    graph_url: str
    kind: StoredKind
    output: Volume

    def load(self, block: Block) -> None:
        """Nothing: one block at a time is computed in a process."""

    def compute(self, block: Block, loaded: None) -> npt.NDArray[Any]:
        """The block as it is written; VolumeError for voxels that its kind has not."""
        array = self.array
        if self.graph_url:
            array = _unpacked(self.graph_url, str(self.output.info.provenance["digest"]))
        # cut from the array and culled: nothing but this block is computed
        values = np.asarray(array[block.core.slices].compute(scheduler="synchronous"))
        if values.shape != block.core.shape:
            raise VolumeError(
                f"voxels {block.core} of the array have the shape {values.shape}, which its chunks "
                "do not state: state the chunks of what changes shapes in its graph (map_blocks)"
            )
        where = f"voxels {block.core} of the array"
        refuse_negative(values if self.kind != "image" else values[:0], what=where)
        if self.kind == "mask":
            return np.where(values != 0, np.uint8(255), np.uint8(0))
        refuse_not_finite(values, what=where)
        return values.astype(self.output.info.dtype, copy=False)

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Write the block."""
        self.output.write(block.core, result)

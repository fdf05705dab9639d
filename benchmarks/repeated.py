"""A large volume from a small one, repeated in plane: made as fast as it can be written.

What is repeated is the same every 10 um; it serves to time, not to judge results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import volproc
from volproc import PhantomOptions
from volproc.engine.clusters.local import local_engine
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import new_volume
from volproc.volume.store import Volume, create_volume, open_volume

SIDE = 1024
"""Voxels of a side of what is repeated: a multiple of what the coarsest level shrinks by."""


def repeated_phantom(url: Path, shape: Shape, voxel_nm: VoxelNm) -> Volume:
    """The volume at `url`, made unless it is there: a phantom of SIDE x SIDE, repeated."""
    if url.exists():
        return open_volume(url)
    small = url.with_name("repeated.zarr")
    if not small.exists():
        of_one = PhantomOptions(shape=(shape[0], SIDE, SIDE), voxel_nm=tuple(voxel_nm), seed=1)
        volproc.phantom(str(small), of_one)
    one = open_volume(small)  # the large one gets the levels that this one has
    info = new_volume(
        str(url), shape=shape, voxel_nm=voxel_nm, dtype="uint8", max_levels=len(one.info.levels)
    )
    made = create_volume(info, step="repeated", digest=str(shape), version=volproc.__version__)
    with local_engine() as engine:
        runner = Runner(engine, url.with_name("repeated-ledger"))
        for level, here in enumerate(made.info.levels):
            runner.run(
                Step(
                    name=f"repeat level {level}",
                    task=Repeat(one, made, level),
                    blocks=Tiling(shape=here.shape, core=here.shards),
                    digest=str(shape),
                    peak_bytes=4 * prod(here.shards),
                )
            )
    return made.finish()


@dataclass(frozen=True)
class Repeat:
    """Task: one shard of a level, from the same level of the small volume."""

    small: Volume
    large: Volume
    level: int

    def load(self, block: Block) -> npt.NDArray[Any]:
        out = np.zeros(block.core.shape, self.large.info.dtype)
        whole = self.small.info.levels[self.level].box
        for z, y, x in product(*map(_runs, block.core.start, block.core.stop, whole.shape)):
            box = type(whole)((z[0], y[0], x[0]), (z[1], y[1], x[1]))
            place = tuple(slice(at, at + b - a) for a, b, at in (z, y, x))
            out[place] = self.small.read(box, self.level)
        return out

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return loaded

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        self.large.write(block.core, result, self.level)


def _runs(start: int, stop: int, period: int) -> Iterator[tuple[int, int, int]]:
    """Parts of start to stop that lie in one repeat each: (first, end, where in the block)."""
    at = start
    while at < stop:
        length = min(period - at % period, stop - at)
        yield at % period, at % period + length, at - start
        at += length

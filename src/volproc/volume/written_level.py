"""Which blocks of a level are still on disk: a ledger only says that they were written once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape
from volproc.volume.fingerprint import entries
from volproc.volume.metadata import VolumeInfo
from volproc.volume.pyramid import coarsened_box, step_between


@dataclass(frozen=True)
class WrittenLevel:
    """A level of a volume, as the output of a step whose blocks are whole shards of it.

    Blocks are counted in voxels of a level that is `finer` levels finer.
    """

    info: VolumeInfo
    level: int = 0
    finer: int = 0

    def lost(self, blocks: Iterable[Block]) -> set[int]:
        """Indices of the `blocks` with a missing or empty file: they must be done again."""
        level = self.info.levels[self.level]
        there = {name for name, size, _ in entries(f"{self.info.url}/{level.path}") if size}
        tiling = Tiling(shape=level.shape, core=level.shards)
        lost = set()
        for block in blocks:
            parts = tiling.over(self._box(block))
            if not all(there.issuperset(self._files(part.core.start)) for part in parts):
                lost.add(block.index)
        return lost

    def _box(self, block: Block) -> Box:
        finer = self.info.levels[self.level - self.finer]
        return coarsened_box(block.core, step_between(finer, self.info.levels[self.level]))

    def _files(self, start: Shape) -> list[str]:
        """Files of the shard there: one for all channels in Zarr 3, one per channel in Zarr 2."""
        shards = self.info.levels[self.level].shards
        key = "/".join(str(a // n) for a, n in zip(start, shards, strict=True))
        channels = len(self.info.channels)
        if self.info.version == "0.4":
            return [f"{c}/{key}" for c in range(channels)] if channels else [key]
        return [f"c/0/{key}" if channels else f"c/{key}"]

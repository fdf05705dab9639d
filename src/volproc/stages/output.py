"""The volume a stage writes: begun, its pyramid made level by level, and marked finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc import __version__
from volproc.engine.protocol import Step
from volproc.engine.run import Chain, Runner
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Shape
from volproc.volume.creation import update_provenance
from volproc.volume.fingerprint import forget_content, note_content
from volproc.volume.metadata import Level, VolumeInfo, itemsize
from volproc.volume.pyramid import coarsen, source_box, step_between
from volproc.volume.store import Volume, create_volume, is_begun
from volproc.volume.written_level import WrittenLevel


def begin_volume(
    runner: Runner, info: VolumeInfo, *, step: str, digest: str, steps: Iterable[Step]
) -> Volume:
    """The volume a stage fills: continued, or remade and the records of `steps` dropped."""
    (volume,) = begin_volumes(runner, [info], step=step, digest=digest, steps=steps)
    return volume


def write_volume(
    runner: Runner,
    info: VolumeInfo,
    steps: Callable[[VolumeInfo], Sequence[Step]],
    *,
    step: str,
    digest: str,
) -> Volume:
    """The finished volume: `steps` are the one that writes its finest level, and its pyramid's."""
    made: Volume
    (made,) = runner.run_together(writing(runner, info, steps, step=step, digest=digest))
    return made


def writing(
    runner: Runner,
    info: VolumeInfo,
    steps: Callable[[VolumeInfo], Sequence[Step]],
    *,
    step: str,
    digest: str,
) -> Chain[Volume]:
    """The same as a chain of steps, which may share the workers with others."""
    begun = begin_volume(runner, info, step=step, digest=digest, steps=steps(info))
    finest, *pyramid = steps(begun.info)
    yield finest
    return (yield from finishing(runner, begun, pyramid))


def begin_volumes(
    runner: Runner, infos: Sequence[VolumeInfo], *, step: str, digest: str, steps: Iterable[Step]
) -> tuple[Volume, ...]:
    """The volumes that the same steps fill: if one is remade, all are written again.

    The records are dropped first: if killed in between, blocks are done twice rather than trusted
    though they were not written.
    """
    there = [is_begun(info, digest=digest) for info in infos]
    if not all(there):
        for one in steps:
            runner.forget(one.name)
        for info, begun in zip(infos, there, strict=True):
            forget_content(str(runner.records), info.url)
            if begun:
                update_provenance(info.url, finished=False)
    how = {"step": step, "digest": digest, "version": __version__}
    return tuple(create_volume(info, **how) for info in infos)


def cutting_of(block: Shape, *infos: VolumeInfo | None) -> dict[str, Any]:
    """How a result is cut, for its recipe: one that is cut differently must not be continued."""
    levels = [[(level.chunks, level.shards) for level in info.levels] for info in infos if info]
    return {"block": block, "chunks_and_shards": levels}


def finish_volume(runner: Runner, volume: Volume, pyramid: Iterable[Step]) -> Volume:
    """Make the pyramid of a volume whose finest level is written, and mark it finished."""
    made: Volume
    (made,) = runner.run_together(finishing(runner, volume, pyramid))
    return made


def finishing(runner: Runner, volume: Volume, pyramid: Iterable[Step]) -> Chain[Volume]:
    """The same as a chain of steps, which may share the workers with others."""
    for step in pyramid:  # noqa: UP028  a tuple cannot be sent records
        yield step
    if volume.info.provenance.get("finished"):
        return volume
    note_content(str(runner.records), volume.info)
    return volume.finish()


def pyramid_steps(info: VolumeInfo, *, digest: str, name: str, first: int = 1) -> tuple[Step, ...]:
    """One step per level of `info` from `first` on, each reading the level before it."""
    return tuple(_level_step(info, n, digest, name) for n in range(first, len(info.levels)))


def _level_step(info: VolumeInfo, level: int, digest: str, name: str) -> Step:
    finer, coarser = info.levels[level - 1], info.levels[level]
    blocks = Tiling(shape=coarser.shape, core=coarser.shards)
    per_voxel = itemsize(info.dtype) * max(1, len(info.channels))
    step = step_between(finer, coarser)
    core = blocks[0].core.size * per_voxel
    part = prod(_part_shape(finer, blocks[0].core.shape, step, per_voxel)) * per_voxel
    return Step(
        name=f"pyramid of {name}, level {level}",
        task=Coarsen(Volume(info), level),
        blocks=blocks,
        digest=digest,
        writes=(WrittenLevel(info, level),),
        # zarr needs a part twice to read it; the result, and 3 times the shard while it is encoded
        peak_bytes=part * (2 * prod(step) + 1) + 4 * core,
        bytes_read=prod(finer.shape) * per_voxel,
        bytes_written=prod(coarser.shape) * per_voxel,
    )


PART_BYTES = 2**24
"""Of the finer level, in memory at once while a shard of the coarser one is made."""


@dataclass(frozen=True)
class Coarsen:
    """Task: one shard of a level from the level before it."""

    volume: Volume
    level: int

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The shard's voxels (mean of an image, mode of labels), made a few chunks at a time.

        So the finer level's voxels under it are never in memory together.
        """
        info = self.volume.info
        finer, coarser = info.levels[self.level - 1], info.levels[self.level]
        step = step_between(finer, coarser)
        lead = (len(info.channels),) if info.channels else ()
        out = np.empty((*lead, *block.core.shape), dtype=info.dtype)
        part = _part_shape(finer, block.core.shape, step, out.itemsize * prod(lead))
        for one in Tiling(block.core.shape, part):
            box = one.core.shift(block.core.start)
            under = source_box(box, finer=finer, coarser=coarser)
            values = self.volume.read(under, level=self.level - 1)
            out[(..., *one.core.slices)] = coarsen(values, step, kind=info.kind)
        return out

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Already done."""
        return loaded

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Write the shard."""
        self.volume.write(block.core, result, level=self.level)


def _part_shape(finer: Level, core: Shape, step: Shape, per_voxel: int) -> Shape:
    """Voxels made at once: from whole chunks of the finer level, and whole rows along x."""
    depth, height = (max(1, c // s) for c, s in zip(finer.chunks[:2], step[:2], strict=True))
    depth, height = min(depth, core[0]), min(height, core[1])
    row_of_chunks = depth * height * core[2] * prod(step) * per_voxel
    return depth, min(core[1], height * max(1, PART_BYTES // row_of_chunks)), core[2]

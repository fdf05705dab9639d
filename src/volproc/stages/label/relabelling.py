"""New ids for existing labels: one pass, no merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import VolumeError
from volproc.grid.blocks import Block, Tiling
from volproc.stages.claims import Claim, admit
from volproc.stages.label.mask_source import WHOLE, ArraySource, Source
from volproc.stages.label.object_ids import ids_type
from volproc.stages.objects.runs import runs_of
from volproc.stages.output import cutting_of, pyramid_steps, write_volume
from volproc.volume.access import relative_url
from volproc.volume.kinds import refuse_negative
from volproc.volume.metadata import VolumeInfo, itemsize, volume_like
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

ALGORITHM = 1
"""Raised by hand when the same labels and ids would give other labels."""


@dataclass(frozen=True)
class Rename:
    """Task: a block of labels with the ids `old` (sorted) replaced by `new`."""

    labels: Source
    output: Volume
    old: npt.NDArray[np.uint64]
    new: npt.NDArray[np.uint64]

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The block of labels."""
        return self.labels.read(block.core)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The same with new ids; labels that are not listed keep theirs."""
        refuse_negative(loaded, what=f"{self.labels.info.url}, voxels {block.core},")
        groups = runs_of(loaded).equal()
        found = groups.values.astype(np.uint64)
        listed = np.isin(found, self.old)
        # 0 first, as uint64: with Python's 0 numpy would make floats, which hold no ids above 2^53
        ids = np.concatenate([np.zeros(1, np.uint64), found])
        ids[1:][listed] = self.new[np.searchsorted(self.old, found[listed])]
        return groups.painted(ids.astype(self.output.info.dtype))

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Write the block."""
        self.output.write(block.core, result)


def rename(source: Source, url: str, mapping: Mapping[int, int], runner: Runner) -> Volume:
    """The finished labels at `url`: each id that `mapping` names replaced, 0 to remove it.

    VolumeError for values that are no ids.
    """
    info = source.info
    wrong = next((n for pair in mapping.items() for n in pair if not 0 <= n < 2**64), None)
    if wrong is not None:
        raise VolumeError(
            f"a mapping of ids has {wrong}, expected whole numbers from 0 to 2^64 - 1"
        )
    old = np.array(sorted(mapping), dtype=np.uint64)
    new = np.array([mapping[int(i)] for i in old], dtype=np.uint64)
    if info.dtype not in WHOLE:
        raise VolumeError(f"{info.url} holds {info.dtype}; ids are whole numbers")
    highest = max(int(new.max(initial=0)), int(np.iinfo(_whole(info)).max))
    output = volume_like(info, url, dtype=ids_type(highest), kind="labels")
    where = {} if isinstance(source, ArraySource) else {"labels": relative_url(info.url, url)}
    ids = {"ids": digest(old.tolist(), new.tolist())}
    cutting = cutting_of(output.write_unit, output)
    recipe = Recipe("relabel", ALGORITHM, {"labels": source.fingerprint}, ids, cutting, where)
    admit(Claim(recipe, (info.url,) if where else (), (output,)), runner)
    output = output.with_provenance(recipe=recipe.record())
    steps = partial(_steps, source, old=old, new=new, name=recipe.digest)
    return write_volume(runner, output, steps, step="relabel", digest=recipe.digest)


def _whole(info: VolumeInfo) -> str:
    return "uint8" if info.dtype == "bool" else info.dtype


def _steps(
    source: Source,
    output: VolumeInfo,
    *,
    old: npt.NDArray[np.uint64],
    new: npt.NDArray[np.uint64],
    name: str,
) -> tuple[Step, ...]:
    voxels, per_voxel = prod(output.write_unit), itemsize(output.dtype)
    # the input, components and their two tables while they are found, and the shard three times
    step = Step(
        name="rename",
        task=Rename(source, Volume(output), old, new),
        blocks=Tiling(shape=output.shape, core=output.write_unit),
        digest=name,
        writes=(WrittenLevel(output),),
        peak_bytes=voxels * (itemsize(source.info.dtype) + 4 + 8 + 4 * per_voxel),
        bytes_read=prod(output.shape) * itemsize(source.info.dtype),
        bytes_written=prod(output.shape) * per_voxel,
    )
    return (step, *pyramid_steps(output, digest=name, name="labels"))

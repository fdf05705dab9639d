"""The pass over the voxels: what each block knows of its objects, as sums that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.engine.protocol import Step
from volproc.errors import VolumeError
from volproc.fusion import level_of
from volproc.grid.blocks import Block, Tiling
from volproc.stages.measure.tables.slice_components import (
    BlockComponents,
    SliceCounts,
    block_components,
    slice_counts,
)
from volproc.stages.objects.array_files import Packed, packed, read_packed
from volproc.stages.objects.components import Ids
from volproc.stages.objects.runs import Groups, runs_of
from volproc.stages.objects.sampled_volume import SampledVolume
from volproc.stages.objects.statistics import Statistics, group_statistics, joined
from volproc.volume.file_io import write_file
from volproc.volume.kinds import refuse_negative
from volproc.volume.metadata import itemsize
from volproc.volume.store import Volume

Floats = npt.NDArray[np.float64]

WORKING_BYTES = 40
"""Per voxel: ids from 1, components, components of slices and their slices, a column of floats."""


class BlockSums(NamedTuple):
    """What is known of a block; `sums` has a row per id, a column per sampled volume."""

    ids: Ids
    objects: Statistics
    sums: Floats
    components: BlockComponents


@dataclass(frozen=True)
class SumObjects:
    """Task: statistics, sums of values and slice components of the objects of one block.

    Of the votes, the share of axes that say yes at `threshold` is summed.
    """

    labels: Volume
    image: SampledVolume | None
    votes: SampledVolume | None
    threshold: float
    folder: str
    digest: str

    @property
    def sampled(self) -> tuple[SampledVolume, ...]:
        """Image and votes, where they are given."""
        return tuple(one for one in (self.image, self.votes) if one)

    def load(self, block: Block) -> list[npt.NDArray[Any]]:
        """Labels; then, unless they are all background, the values under them."""
        labels = self.labels.read(block.core)
        return [labels, *(one.read(block.core) for one in self.sampled if labels.any())]

    def compute(self, block: Block, loaded: list[npt.NDArray[Any]]) -> BlockSums:
        """Sums over the voxels of each object."""
        labels, *values = loaded
        refuse_negative(labels, what=f"{self.labels.info.url}, voxels {block.core},")
        objects = runs_of(labels).equal()
        sums = np.zeros((objects.count, len(self.sampled)))
        if self.image and objects.count:
            sums[:, 0] = self._image_sums(block, objects, values[0])
        if self.votes and objects.count:
            yes = (values[-1] >= level_of(self.threshold)).mean(axis=0, dtype=np.float64)
            sums[:, -1] = _sums(objects, yes)
        return BlockSums(
            objects.values.astype(np.uint64),
            group_statistics(objects, origin=block.core.start, shape=self.labels.info.shape),
            sums,
            block_components(objects.runs, first=block.core.start[0]),
        )

    def store(self, block: Block, result: BlockSums) -> dict[str, int]:
        """Leave them in a file."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "ids": result.ids,
            "rows": result.objects.rows,
            "sums": result.sums,
            "places": result.components.places,
            **{_named(step): side for step, side in result.components.sides.items()},
        }
        write_file(f"{self.folder}/{block.index}.objects", packed(arrays, digest=self.digest))
        return {"objects": len(result.ids)}

    def _image_sums(self, block: Block, objects: Groups, values: npt.NDArray[Any]) -> Floats:
        assert self.image
        sums = _sums(objects, values)
        if not np.isfinite(sums).all():
            nan = np.isnan(values[objects.painted() > 0]).any()
            found = "not a number (NaN)" if nan else "infinite or too large to add"
            raise VolumeError(
                f"{self.image.volume.info.url}, under voxels {block.core} of the labels, has "
                f"voxels that are {found} inside objects; give them a value, or measure without "
                "an image"
            )
        return sums


def count_step(task: SumObjects, *, tiling: Tiling) -> Step:
    """The task for every block of the labels."""
    core, label_bytes = tiling[0].core, itemsize(task.labels.info.dtype)
    under = sum(one.bytes_under(core) for one in task.sampled)
    return Step(
        name="count",
        task=task,
        blocks=tiling,
        digest=task.digest,
        peak_bytes=core.size * (label_bytes + WORKING_BYTES) + 2 * under,
        bytes_read=len(tiling) * (core.size * label_bytes + under),
    )


@dataclass(frozen=True)
class ObjectSums:
    """All objects of a volume, by ascending id."""

    ids: Ids
    objects: Statistics
    sums: Floats
    slices: SliceCounts


def object_sums(folder: str, digest: str, tiling: Tiling) -> ObjectSums:
    """What `SumObjects` left of all blocks, added up."""
    blocks = [read_packed(f"{folder}/{n}.objects", digest=digest) for n in range(len(tiling))]
    ids, group = np.unique(_all(blocks, "ids"), return_inverse=True)
    parts = _all(blocks, "sums")
    sums = np.empty((len(ids), parts.shape[1]))
    for column, values in enumerate(parts.T):
        sums[:, column] = np.bincount(group, weights=values, minlength=len(ids))
    return ObjectSums(
        ids,
        joined(Statistics(block["rows"]) for block in blocks).merged(group, count=len(ids)),
        sums,
        slice_counts(
            tiling,
            places=lambda index: blocks[index]["places"],
            side=lambda index, step: blocks[index][_named(step)],
        ),
    )


def _sums(objects: Groups, values: npt.NDArray[Any]) -> Floats:
    """Sum of the values under each object: exact for whole numbers up to 2**53."""
    found, runs = np.zeros(objects.count + 1), objects.runs
    lines = values.reshape(-1, values.shape[-1])
    _add(runs.rows, runs.start, runs.stop, objects.numbers, lines, found)
    return found[1:]


@compiled
def _add(
    rows: Any, start: Any, stop: Any, numbers: Any, lines: npt.NDArray[Any], found: Floats
) -> None:
    for line in range(len(lines)):
        for run in range(rows[line], rows[line + 1]):
            total = found[numbers[run]]
            for x in range(start[run], stop[run]):
                total += lines[line, x]
            found[numbers[run]] = total


def _all(blocks: Sequence[Packed], name: str) -> npt.NDArray[Any]:
    return np.concatenate([block[name] for block in blocks])


def _named(step: Sequence[int]) -> str:
    return "side " + "".join("-=+"[s + 1] for s in step)

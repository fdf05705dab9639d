"""The pass over the voxels: what each block knows of its objects, in sums that add up."""

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
from volproc.grid.box import Box, Shape
from volproc.stages.measure.tables.slice_components import (
    Fragments,
    Pieces,
    block_pieces,
    fragments,
    no_pieces,
)
from volproc.stages.objects.array_files import Packed, packed, read_packed
from volproc.stages.objects.components import Ids, Labels, equal_values
from volproc.stages.objects.statistics import Statistics, block_statistics, joined, no_statistics
from volproc.volume.file_io import write_file
from volproc.volume.kinds import refuse_negative
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.sampling import Sampling, sampling_to
from volproc.volume.store import Volume

Sums = npt.NDArray[np.float64]

WORKING_BYTES = 40
"""Per voxel: ids from 1, components, pieces of slices and their slices, one column as floats."""


@dataclass(frozen=True)
class Values:
    """Another volume under the labels: the level that is not coarser than they are, and the way."""

    volume: Volume
    level: int
    sampling: Sampling

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Values at the centres of the labels' voxels; channels stay first."""
        found = self.volume.read(self.sampling.source(box), self.level)
        return self.sampling.sample(found, box)

    def bytes_under(self, box: Box) -> int:
        """What `read` reads for a box."""
        info = self.volume.info
        per_voxel = itemsize(info.dtype) * max(1, len(info.channels))
        return self.sampling.source(box).size * per_voxel


def values_under(labels: VolumeInfo, info: VolumeInfo) -> Values:
    """How to see a volume at the labels; VolumeError unless it covers them."""
    fits = [
        number
        for number, level in enumerate(info.levels)
        if all(a <= b * 1.01 for a, b in zip(level.voxel_nm, labels.voxel_nm, strict=True))
    ]
    chosen = max(fits, default=0)
    return Values(Volume(info), chosen, sampling_to(info, labels, level=chosen))


class Found(NamedTuple):
    """What is known of a block; `sums` has a row per id, a column per volume of values."""

    ids: Ids
    objects: Statistics
    sums: Sums
    pieces: Pieces


@dataclass(frozen=True)
class CountObjects:
    """Task: statistics, sums of values and fragments of the objects of one block.

    `image` and `votes` are None where there are none. Of the votes, the mean over the axes of
    whether they say yes at `threshold` is summed.
    """

    labels: Volume
    image: Values | None
    votes: Values | None
    threshold: float
    folder: str
    digest: str

    def load(self, block: Block) -> list[npt.NDArray[Any]]:
        """Labels; then, where there are any, the values under them."""
        labels = self.labels.read(block.core)
        if not labels.any():
            return [labels]
        return [labels, *(one.read(block.core) for one in (self.image, self.votes) if one)]

    def compute(self, block: Block, loaded: list[npt.NDArray[Any]]) -> Found:
        """Sums over the voxels of each object."""
        labels, *values = loaded
        refuse_negative(labels, what=f"{self.labels.info.url}, voxels {block.core},")
        local, ids = equal_values(labels)
        if not len(ids):
            given = sum(one is not None for one in (self.image, self.votes))
            return Found(ids, no_statistics(), np.empty((0, given)), no_pieces(local.shape))
        objects = block_statistics(
            local, len(ids), origin=block.core.start, shape=self.labels.info.shape
        )
        columns = []
        if self.image:
            columns.append(self._image_sums(block, local, values[0], len(ids)))
        if self.votes:
            yes = (values[-1] >= level_of(self.threshold)).mean(axis=0, dtype=np.float64)
            columns.append(_sums(local, yes, len(ids)))
        sums = np.stack(columns, axis=1) if columns else np.empty((len(ids), 0))
        return Found(ids, objects, sums, block_pieces(local, ids, first=block.core.start[0]))

    def store(self, block: Block, result: Found) -> dict[str, int]:
        """Keep them."""
        sides = {_named(step): side for step, side in result.pieces.sides.items()}
        arrays: dict[str, npt.NDArray[Any]] = {
            "ids": result.ids,
            "rows": result.objects.rows,
            "sums": result.sums,
            "places": result.pieces.places,
            **sides,
        }
        write_file(f"{self.folder}/{block.index}.objects", packed(arrays, digest=self.digest))
        return {"objects": len(result.ids)}

    def _image_sums(
        self, block: Block, local: Labels, values: npt.NDArray[Any], count: int
    ) -> Sums:
        sums = _sums(local, values, count)
        if self.image and not np.isfinite(sums).all():
            nan = np.isnan(values[local > 0]).any()
            found = "not a number (NaN)" if nan else "infinite or too large to add"
            raise VolumeError(
                f"{self.image.volume.info.url}, under voxels {block.core} of the labels, has "
                f"voxels that are {found} inside objects; give them a value, or measure without "
                "an image"
            )
        return sums


def count_step(task: CountObjects, *, core: Shape) -> Step:
    """The task for every block of `core` voxels of the labels."""
    info = task.labels.info
    blocks = Tiling(info.shape, core)
    voxels = blocks[0].core.size
    under = sum(one.bytes_under(blocks[0].core) for one in (task.image, task.votes) if one)
    return Step(
        name="count",
        task=task,
        blocks=blocks,
        digest=task.digest,
        peak_bytes=voxels * (itemsize(info.dtype) + WORKING_BYTES) + 2 * under,
        bytes_read=len(blocks) * (voxels * itemsize(info.dtype) + under),
    )


@dataclass(frozen=True)
class Counted:
    """All objects of a volume, in the order of their ids."""

    ids: Ids
    objects: Statistics
    sums: Sums
    fragments: Fragments


def counted(folder: str, digest: str, tiling: Tiling) -> Counted:
    """What `CountObjects` left of all blocks, added up."""

    blocks = [read_packed(f"{folder}/{n}.objects", digest=digest) for n in range(len(tiling))]
    ids, group = np.unique(_all(blocks, "ids"), return_inverse=True)
    objects = joined(Statistics(block["rows"]) for block in blocks).merged(group, count=len(ids))
    parts = _all(blocks, "sums")
    sums = [np.bincount(group, weights=part, minlength=len(ids)) for part in parts.T]
    return Counted(
        ids,
        objects,
        np.stack(sums, axis=1) if sums else np.empty((len(ids), 0)),
        fragments(
            tiling,
            places=lambda index: blocks[index]["places"],
            side=lambda index, step: blocks[index][_named(step)],
        ),
    )


def _sums(local: Labels, values: npt.NDArray[Any], count: int) -> Sums:
    """Sum of the values of ids 1 to `count`: exact for whole numbers up to 2**53."""
    found = np.zeros(count + 1)
    _add(local.reshape(-1), values.reshape(-1), found)
    return found[1:]


@compiled
def _add(local: Labels, values: npt.NDArray[Any], found: Sums) -> None:
    for i in range(local.size):
        if local[i]:
            found[local[i]] += values[i]


def _all(blocks: Sequence[Packed], name: str) -> npt.NDArray[Any]:
    return np.concatenate([block[name] for block in blocks])


def _named(step: Sequence[int]) -> str:
    return "side " + "".join("-=+"[s + 1] for s in step)

"""Plan and run of `check`: a volume in, what is wrong with it out. Nothing is written.

Planning is the fast check: metadata and the list of files. Running reads voxels: some of every
level, or all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Literal
from uuid import uuid4

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Shape, each
from volproc.stages.check.chunk_files import ChunkFiles, list_files
from volproc.stages.check.findings import Finding, error, warning
from volproc.stages.check.level_metadata import FoundImage
from volproc.stages.check.second_opinion import second_opinion
from volproc.stages.check.structure import structure_of
from volproc.stages.check.tasks import CheckBlock, Comparison
from volproc.volume.metadata import shard_shape
from volproc.volume.stored_arrays import StoredArray

Depth = Literal["fast", "samples", "deep"]

SAMPLE: Shape = (64, 64, 64)
SAMPLES = 16
"""Blocks of every level that are looked at unless the check is deep."""
GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, are spread evenly however many are taken."""
ALLOWED_OUTSIDE = 0.01
"""Share of voxels of others' pyramids beyond the range of the finer ones: filters overshoot."""
WORKING_COPIES = 4
"""Of a block: its voxels, their coarser ones and masks, and a file while it is decoded."""


@dataclass(frozen=True)
class CheckPlan:
    """What the metadata and the list of files showed, and what is still to be read."""

    url: str
    depth: Depth
    structure: tuple[Finding, ...]
    images: tuple[FoundImage, ...]
    chunks: tuple[ChunkFiles, ...]
    digest: str

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """One or two per level of every finished image."""
        if self.depth == "fast":
            return ()
        return tuple(step for image in self.images if image.finished for step in self._steps(image))

    def _steps(self, image: FoundImage) -> Iterator[Step]:
        arrays = [level.array for level in image.levels]
        coarser_ones = [*arrays[1:], None][: len(arrays)]  # none is readable: none is compared
        for array, coarser in zip(arrays, coarser_ones, strict=True):
            task = CheckBlock(
                array, coarser or array, image.kind, self._comparison(array, coarser, image)
            )
            if self.depth == "samples":
                yield self._step("sample", task, _samples(task))
            elif task.comparison == "within":
                yield self._step("compare", task, _samples(task))
                yield self._step("read", replace(task, comparison="read"), _all(task))
            else:
                yield self._step("read", task, _all(task))

    def _comparison(
        self, array: StoredArray, coarser: StoredArray | None, image: FoundImage
    ) -> Comparison:
        if coarser is None or array.shape[:-3] != coarser.shape[:-3]:
            return "read"
        if any(one.lost and one.array in (array, coarser) for one in self.chunks):
            return "read"  # lost voxels are a finding already
        if not image.ours:
            return "within"
        step = each(lambda n, m: -(-n // m), array.space, coarser.space)
        halves = coarser.space == each(lambda n, s: -(-n // s), array.space, step)
        return "exact" if halves and max(step) <= 2 else "read"  # else its shape is a finding

    def _step(self, name: str, task: CheckBlock, blocks: Sequence[Block]) -> Step:
        array, largest = task.finer, blocks[0].read.size
        several = prod(array.shape[:-3]) // prod(array.unit[:-3]) or 1
        return Step(
            name=f"{name} {array.url.removeprefix(self.url).lstrip('/')}",
            task=task,
            blocks=blocks,
            digest=self.digest,
            peak_bytes=WORKING_COPIES * max(largest, prod(array.chunk)) * array.bytes_per_voxel,
            bytes_read=sum(b.read.size for b in blocks) * array.bytes_per_voxel * several,
        )


def plan_check(url: str, *, depth: Depth = "samples", ask_ome_zarr: bool = False) -> CheckPlan:
    """The fast check of the volume at `url`, and the steps of a deeper one.

    VolumeError if there is nothing at `url`; everything else that is wrong becomes a finding.
    With `ask_ome_zarr` so does what the package ome-zarr says.
    """
    url = url.rstrip("/")
    structure, images = structure_of(url)
    files, chunks = list_files(url, images)
    if ask_ome_zarr:
        files = [*files, *second_opinion(images)]
    # never the record of an earlier check: the files may have changed since
    fresh = digest("check", url, uuid4().hex)
    return CheckPlan(url, depth, (*structure, *files), tuple(images), tuple(chunks), fresh)


def run_check(plan: CheckPlan, runner: Runner) -> tuple[Finding, ...]:
    """All that is wrong, errors first; empty for a sound volume."""
    found = set(plan.structure)
    known = {one.where for one in found}
    for step in plan.steps:
        more = _findings(step.task, runner.run(step))
        found.update(one for one in more if one.where not in known)
    return tuple(sorted(found))


def _all(task: CheckBlock) -> Tiling:
    """Whole files, about 64 MB of them; even, so that they end where coarser voxels do."""
    array = task.finer
    unit = each(
        lambda u, s: u if u % s == 0 or task.comparison == "read" else u * s,
        array.file_space,
        task.step,
    )
    return Tiling(
        array.space, shard_shape(array.space, chunks=unit, bytes_per_voxel=array.bytes_per_voxel)
    )


def _samples(task: CheckBlock) -> tuple[Block, ...]:
    """The first block, the last, and others spread over the level: always the same."""
    halo = task.windows.halo if task.comparison == "within" else (0, 0, 0)
    blocks = Tiling(task.finer.space, SAMPLE, halo)
    spread = (int(len(blocks) * (GOLDEN * n % 1)) for n in range(1, SAMPLES - 1))
    return tuple(blocks[i] for i in sorted({0, len(blocks) - 1, *spread}))


def _findings(task: Any, records: Iterable[dict[str, Any]]) -> Iterator[Finding]:
    nan = wrong = compared = 0
    first = None
    for record in records:
        yield from (
            error(file, f"cannot be read: {why}", file=True) for file, why in record["damaged"]
        )
        nan += record["nan"]
        wrong += record["wrong"]
        compared += record["compared"]
        first = first or record["first"]
    if nan:
        yield warning(task.finer.url, f"{nan} voxels are not a number (NaN)")
    allowed = 0 if task.comparison == "exact" else ALLOWED_OUTSIDE
    if first and wrong > allowed * compared:
        z, y, x, value = first
        yield error(
            task.coarser.url,
            f"{wrong} of {compared} voxels looked at do not come from {task.finer.url}; "
            f"the first is z {z}, y {y}, x {x}: {value}",
        )

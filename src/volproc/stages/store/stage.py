"""Plan and run of `store`: a lazy array in, a volume with its pyramid out.

Blocks are computed one at a time in a worker, by dask's synchronous scheduler and from a graph
culled to the block. The array is never rechunked: blocks are chosen to fit its chunks
(`aligned_blocks.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.scale import VoxelNm
from volproc.stages.claims import Claim, admit
from volproc.stages.output import begin_volume, cutting_of, finish_volume, pyramid_steps
from volproc.stages.store.aligned_blocks import block_and_shard, computed
from volproc.stages.store.tasks import StoreBlock, StoredKind
from volproc.volume.access import first_line, remove_file
from volproc.volume.dask_token import is_prediction, places_of, token_of
from volproc.volume.file_io import write_file
from volproc.volume.metadata import (
    PositionNm,
    Version,
    VolumeInfo,
    Window,
    chunk_shape,
    itemsize,
    new_volume,
)
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

ALGORITHM = 1
"""Raised by hand when the same array would give other voxels."""
CHUNK_COPIES = 3
"""Of the largest chunk: as it is computed, what it is computed from, and its part of the block."""
GRAPH = "array.pickle"
"""Among the records while it runs: the array, for the workers."""
TWICE = 1.5
"""From this on a plan says how often chunks are computed."""


@dataclass(frozen=True)
class StorePlan:
    """Everything decided about a volume before a voxel of the array is computed."""

    array: Any
    kind: StoredKind
    output: VolumeInfo
    blocks: Tiling
    recipe: Recipe
    graph_url: str = ""
    graph_bytes: int = 0

    @property
    def claim(self) -> Claim:
        """What it reads, as far as the graph tells, and writes."""
        return Claim(self.recipe, places_of(self.array), (self.output,))

    @cached_property
    def step(self) -> Step:
        """The step that computes and writes the finest level."""
        array, core = self.array, self.blocks[0].core
        given, made = np.dtype(array.dtype).itemsize, itemsize(self.output.dtype)
        largest = prod(map(max, array.chunks)) * given
        times = prod(map(computed, array.chunks, self.blocks.core)) / prod(self.output.shape)
        return Step(
            name="store",
            task=StoreBlock(
                None if self.graph_url else array, self.graph_url, self.kind, Volume(self.output)
            ),
            blocks=self.blocks,
            digest=self.recipe.digest,
            writes=(WrittenLevel(self.output),),
            peak_bytes=core.size * (2 * given + made)
            + CHUNK_COPIES * max(largest, prod(self.output.write_unit) * made)
            + self.graph_bytes,
            bytes_read=int(times * prod(self.output.shape)) * given,
            bytes_written=prod(self.output.shape) * made,
            notes=_notes(times),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps; what the chunks are computed from comes on top of what they cost."""
        return (self.step, *pyramid_steps(self.output, digest=self.recipe.digest, name="store"))


def _notes(times: float) -> tuple[str, ...]:
    memory = "what the array's chunks are computed from takes memory besides, as much as it does"
    if times < TWICE:
        return (memory,)
    often = (
        f"the array's chunks are computed {times:.1f} times each on average, as blocks of whole "
        "Zarr chunks cut them: rechunk it, or save what is dear before"
    )
    return memory, often


def plan_store(
    array: Any,
    url: str,
    *,
    kind: StoredKind,
    voxel_nm: VoxelNm,
    corner_nm: PositionNm | None = None,
    version: Version = "0.5",
) -> StorePlan:
    """Decide blocks, shards and type for storing the dask array `array` at `url`.

    VolumeError for an array that is no such `kind`.
    """
    dtype = _dtype(array, kind)
    z, y, x = map(int, array.shape)
    stored = chunk_shape(voxel_nm)
    block, shard = block_and_shard((z, y, x), array.chunks, stored=stored, itemsize=itemsize(dtype))
    output = new_volume(
        url,
        shape=(z, y, x),
        voxel_nm=voxel_nm,
        corner_nm=corner_nm,
        dtype=dtype,
        kind="labels" if kind == "labels" else "image",
        chunks=stored,
        shards=shard,
        version=version,
        window=Window(0, 255, 0, 255) if kind == "mask" else None,
    )
    recipe = Recipe(
        "store",
        ALGORITHM,
        {"array": token_of(array)},
        {"kind": kind, "voxel_nm": voxel_nm, "corner_nm": corner_nm},
        cutting_of(block, output),
        {"array": str(array.name)},
    )
    told = {"probabilities": True} if is_prediction(array) else {}
    output = output.with_provenance(recipe=recipe.record(), **told)
    return StorePlan(array, kind, output, Tiling((z, y, x), block), recipe)


def _dtype(array: Any, kind: StoredKind) -> str:
    """The type of the voxels that are written; VolumeError where the array's suits no such kind."""
    dtype = np.dtype(array.dtype)
    allowed = {"image": "uif", "mask": "bui", "labels": "bui"}[kind]
    if dtype.kind not in allowed:
        way_out = {
            "b": "give kind='mask' or 'labels'",
            "f": "give array >= 0.5 for a mask, array.astype('uint32') for labels",
        }.get(dtype.kind, "take its absolute value, or one field of it")
        raise VolumeError(f"an array of {dtype} is no {kind}; {way_out}")
    if kind == "mask":
        return "uint8"
    if kind == "labels":
        return f"uint{8 * dtype.itemsize}"
    return str(dtype.newbyteorder("="))


def run_store(
    plan: StorePlan, runner: Runner, *, settled: Callable[[Any], Any] = lambda array: array
) -> Volume:
    """The finished volume. `settled` gives the array with what its blocks share computed."""
    admit(plan.claim, runner)
    if len(plan.blocks) > 1 and plan.claim.state != "done":
        plan = replace(plan, array=settled(plan.array))
    graph = "" if isinstance(runner.engine, SerialEngine) else f"{runner.records}/{GRAPH}"
    if graph:
        content = _packed(plan.array)
        write_file(graph, content)
        plan = replace(plan, graph_url=graph, graph_bytes=len(content))
    digest = plan.recipe.digest
    begun = begin_volume(runner, plan.output, step="store", digest=digest, steps=plan.steps)
    step, *pyramid = replace(plan, output=begun.info).steps
    for note in step.notes[1:]:
        runner.note(f"store: {note}")
    runner.run(step)
    if graph:
        remove_file(graph)
    return finish_volume(runner, begun, pyramid)


def _packed(array: Any) -> bytes:
    from volproc.engine.wire import packed  # a serial run needs no distributed

    try:
        return packed(array)
    except Exception as error:
        raise VolumeError(
            f"the array cannot travel to workers ({type(error).__name__}: {first_line(error)}); "
            "open its files inside its tasks, or give cluster=ClusterOptions(kind='serial')"
        ) from error

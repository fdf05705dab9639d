"""`volproc.array.label`: the objects of a dask array as a dask array.

    block 0      block 1         find      components, their table, faces, and foreground as bits
       │  \\      /  │            touch     which components touch those of the blocks behind
       │   touch    │
       └─── merge ──┘            merge     once: objects, judged and numbered
       ┌──────┴─────┐
    relabel      relabel         relabel   components once more, from the bits

What the caller's chunks held is let go after `find`: of a mask one bit a voxel stays for `relabel`,
of classes their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import dask.array
import numpy as np
import numpy.typing as npt
from dask.base import tokenize

from volproc.array.blockwise import Blocks, Image, Parts, image_of, whole
from volproc.config.loading import parsed
from volproc.errors import ConfigError, VolumeError
from volproc.grid.blocks import Block, Connectivity, Tiling, forward_steps
from volproc.grid.box import Shape
from volproc.stages.label.block_table import BlockTable
from volproc.stages.label.component_tasks import Components, FindComponents
from volproc.stages.label.criteria import Criteria, largest
from volproc.stages.label.mask_source import ArraySource
from volproc.stages.label.merge import Names, crossing_names, merge_group
from volproc.stages.label.merge_tables import face_towards, lookups
from volproc.stages.label.merge_task import pairs_from
from volproc.stages.label.object_search import plan_find
from volproc.stages.label.options import LabelOptions
from volproc.stages.objects.components import Labels, border
from volproc.volume.channels import one_class
from volproc.volume.kinds import foreground, refuse_classes
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume

SIZES = {"min_volume_um3", "max_volume_um3", "min_extent_nm", "max_extent_nm", "max_elongation"}
"""Criteria that need the voxel size."""
MAX_IDS = 2**32
ELSEWHERE = {"image_grid": "volproc.label", "keep_ids": "volproc.labels.filter"}


def label(
    mask: Any,
    *,
    voxel_nm: Sequence[float] | None = None,
    connectivity: Connectivity = 26,
    classes: bool = False,
    threshold: float | None = None,
    **criteria: Any,
) -> dask.array.Array:
    """Connected components of `mask`, lazy: uint32, 1 to n in the order of first voxels.

    Of an open volume with several classes the option `object_class` names one.

    As `volproc.labels.label`, which writes them: every voxel but 0 is foreground, of floats those
    of 0.5 and above; `threshold` (0 to 1) is for probabilities, such as `volproc.array.predict`
    gives. With `classes` only equal values connect. `criteria` are options of `LabelOptions` such
    as min_volume_um3, border, largest; they need `voxel_nm` where they are in nm or um³. Blocks are
    the chunks of `mask` where these are regular, or those of the option `block`.

    The merge is one task, with some 150 bytes for each component that touches a border between
    blocks or is an object by itself; volumes for which that is too much are for the stage `label`.
    """
    if isinstance(mask, Volume):
        of_class = str(criteria.pop("object_class", ""))
        mask = Volume(one_class(mask.info, of_class, option="object_class"))
    for name in ELSEWHERE.keys() & criteria.keys():
        raise ConfigError(f"volproc.array.label has no {name}: {ELSEWHERE[name]} has")
    needing = sorted(SIZES & criteria.keys())
    if voxel_nm is None and needing and not hasattr(mask, "voxel_nm"):
        raise ConfigError(f"{', '.join(needing)} needs voxel_nm=(z, y, x) in nm")
    image = image_of(mask, voxel_nm or (None if hasattr(mask, "voxel_nm") else (1, 1, 1)))
    floats = np.dtype(image.info.dtype).kind == "f"
    chosen = {
        "input": "classes" if classes else "mask",
        "connectivity": connectivity,
        "threshold": (0.5 if floats else 0.0) if threshold is None else threshold,
        "min_volume_um3": 0,
        **criteria,
    }
    return _labelled(image, parsed(LabelOptions, chosen, where="label"))


def _labelled(image: Image, options: LabelOptions) -> dask.array.Array:
    array = image.level(0)
    blocks = Tiling(image.info.shape, options.block or _block_of(image.info, array))
    plan = plan_find(ArraySource(image.info, array), "", options, blocks=blocks)
    layer = Blocks(f"label-{tokenize(plan.tables.digest, options)}")
    # tasks are given their voxels: of the source they need what messages say
    components = replace(plan.components, mask=ArraySource(image.info, None))
    finding = FindComponents(components, plan.tables, blocks, plan.criteria)
    keys = {
        what: [(f"{what}-{layer.name}", n) for n in range(len(blocks))]
        for what in ("find", "table", "faces", "voxels", "touch", "ids")
    }
    merge = (f"merge-{layer.name}", 0)
    for block in blocks:
        n = block.index
        layer.tasks[keys["find"][n]] = (_find, finding, block, layer.parts(array, block.core))
        for part, what in enumerate(("table", "faces", "voxels")):
            layer.tasks[keys[what][n]] = (itemgetter(part), keys["find"][n])
        steps = forward_steps(options.connectivity)
        near = [n, *(second for second, _ in blocks.neighbours(n, steps))]
        faces = [keys["faces"][one] for one in near]
        layer.tasks[keys["touch"][n]] = (_touch, blocks, options.connectivity, near, faces)
        layer.tasks[keys["ids"][n]] = (itemgetter(n), merge)
        out = (layer.name, *blocks.position(n))
        layer.tasks[out] = (_relabel, components, block, keys["voxels"][n], keys["ids"][n])
    layer.tasks[merge] = (_merge, components, plan.criteria, keys["table"], keys["touch"])
    return layer.result(blocks, "uint32")


def _block_of(info: VolumeInfo, array: dask.array.Array) -> Shape:
    """The array's chunks, if all but the last along each axis are equal; else our own shards."""
    z, y, x = (lengths[0] for lengths in array.chunks)
    regular = all(
        set(lengths[:-1]) <= {lengths[0]} and lengths[-1] <= lengths[0] for lengths in array.chunks
    )
    return (z, y, x) if regular else info.write_unit


Faces = dict[Shape, Labels]


def _find(
    finding: FindComponents, block: Block, parts: Parts
) -> tuple[tuple[BlockTable, int], Faces, npt.NDArray[Any]]:
    """What the merge must know of a block, its borders, and its voxels for the second look."""
    components = finding.components
    values = np.asarray(whole(parts), dtype=components.mask.info.dtype)
    found = finding.compute(block, values)
    voxels = values
    if components.input == "mask":
        where = f"{components.mask.info.url}, voxels {block.core},"
        voxels = np.packbits(foreground(values, level=components.level, what=where).reshape(-1))
    return (found.table, found.highest), found.faces, voxels


def _touch(
    blocks: Tiling, connectivity: Connectivity, near: list[int], faces: list[Faces]
) -> Names:
    """Components of the first of some blocks that touch those of the others."""
    of = dict(zip(near, faces, strict=True))

    def load(index: int, step: Shape) -> Labels:
        return border(of[index][face_towards(step)], step)

    return crossing_names(pairs_from(near[0], blocks, connectivity, load))


def _merge(
    components: Components,
    criteria: Criteria,
    tables: list[tuple[BlockTable, int]],
    touching: list[Names],
) -> list[npt.NDArray[np.uint32]]:
    """For each block the final id of each of its own ids."""
    info, level = components.mask.info, components.level
    if not any(table.count for table, _ in tables):
        highest = max(highest for _, highest in tables)
        refuse_classes(info, level=level, highest=highest, option="threshold")
    nothing = crossing_names([])
    found = merge_group(
        {n: table for n, (table, _) in enumerate(tables)},
        touching=np.concatenate([nothing, *touching]),
        crossing=nothing,
        going_on=nothing.reshape(-1),
        criteria=criteria,
    )
    objects = found.closed
    most, kept = criteria.options.largest, np.ones(len(objects), dtype=bool)
    if most and most < len(objects):
        kept = largest(most).joined(objects).has(objects)
    if len(objects) >= MAX_IDS:
        raise VolumeError(f"{len(objects)} objects do not fit into uint32; take volproc.label")
    final = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.uint32)
    blocks = [(table.count, table.border_ids, table.inner_ids) for table, _ in tables]
    return lookups(blocks, final[found.fate])


def _relabel(
    components: Components,
    block: Block,
    voxels: npt.NDArray[Any],
    ids: npt.NDArray[np.uint32],
) -> npt.NDArray[np.uint32]:
    """The components of a block once more, with their final ids."""
    if components.input == "mask":
        bits = np.unpackbits(voxels, count=block.core.size)
        voxels = bits.view(np.bool_).reshape(block.core.shape)
    found: npt.NDArray[np.uint32] = components.find(block.core, voxels).painted(ids)
    return found

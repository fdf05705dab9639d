"""`volproc.array.predict`: the prediction of a dask array as a dask array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.array
import numpy as np
import numpy.typing as npt
from dask.base import tokenize

from volproc.array.blockwise import Blocks, Image, Parts, image_of, whole
from volproc.engine.protocol import done_once
from volproc.errors import ConfigError
from volproc.grid.blocks import Block
from volproc.grid.box import Box
from volproc.model.device import device_for
from volproc.model.network import Constants
from volproc.model.normalisation import Normalisation
from volproc.model.resolver import open_network
from volproc.stages.predict.empty_blocks import (
    EmptyBlockRule,
    coarse_resampler,
    coarse_window,
    empty_block_rule,
)
from volproc.stages.predict.options import PredictOptions
from volproc.stages.predict.stage import PredictPlan, plan_predict
from volproc.stages.predict.task import Predict
from volproc.stages.volume_sample import sample_box
from volproc.volume.dask_token import PREDICTION
from volproc.volume.metadata import VolumeInfo

FILES = ("votes", "agreement", "disagreement", "regions_um", "image_grid", "seam_check")
"""Options that ask for files beside the prediction."""


def predict(
    array: Any,
    model: str = "nuclei-50nm",
    *,
    voxel_nm: Sequence[float] | None = None,
    constants: Constants | tuple[float, float] | None = None,
    **options: Any,
) -> dask.array.Array:
    """The fused prediction of `array`, lazy: uint8 on the model's grid, one chunk per block.

    Of a model with several classes a first axis has them, (c, z, y, x): all that it predicts, or
    those of the option `classes`.

    `array` is a dask array of (z, y, x), anything that dask makes one of, or an open volume, of
    whose pyramid the level is read that the stage reads. `voxel_nm` is needed for all but volumes.
    `options` are those of `PredictOptions`, such as fusion, threshold, axes, tile.

    The normalisation constants of the whole array are found by one task, before all others, from
    the sample that the stage takes. For a part of a volume give the whole one's as `constants`
    (`volproc.array.constants`, or mean and standard deviation): then nothing but the block and its
    halo is computed for a block. On a CPU the result has the bits of the stage `predict`.
    """
    chosen = PredictOptions(model=model, **{"votes": False, **options})
    files = [name for name in FILES if getattr(chosen, name)]
    if files:
        raise ConfigError(
            f"volproc.array.predict writes no files, so it takes no {', '.join(files)}; store the "
            "array and use volproc.predict"
        )
    image = image_of(array, voxel_nm)
    plan = plan_predict(image.info, "prediction", chosen)
    layer = Blocks(
        f"{PREDICTION}{tokenize(plan.digest, image.level(plan.resampler.level).name, constants)}"
    )
    ready = (f"ready-{layer.name}", 0)
    layer.tasks[ready] = _ready_task(plan, image, layer, constants)
    for block in plan.blocks:
        _add_block(plan, image, layer, block, ready)
    return layer.result(plan.blocks, "uint8", lead=len(plan.output.channels))


def constants(
    array: Any,
    model: str = "nuclei-50nm",
    *,
    voxel_nm: Sequence[float] | None = None,
    match_greys: bool = False,
) -> Constants:
    """The normalisation constants that `predict` would find for `array`, computed now."""
    image = image_of(array, voxel_nm)
    level, box = sample_box(image.info)
    sample = np.asarray(image.level(level)[box.slices].compute())
    found: Constants = open_network(model).constants_from(sample, match_greys=match_greys)
    return found


def _ready_task(plan: PredictPlan, image: Image, layer: Blocks, given: Any) -> Any:
    """The task that all blocks share: the stage's, with the constants of the volume."""
    template = plan.task(Normalisation(0.0, 1.0))
    if given is not None:
        known = Normalisation(*given) if isinstance(given, tuple) else given
        return (_ready, template, known, None)
    level, box = sample_box(image.info)
    return (_ready, template, None, layer.parts(image.level(level), box))


def _ready(task: Predict, given: Constants | None, parts: Parts | None) -> Predict:
    info, skip = task.image.info, task.options.skip_empty_std
    voxel_nm = task.output.info.voxel_nm
    if parts is None:
        assert given is not None
        std = getattr(given, "std", 0.0)
        empty = EmptyBlockRule(coarse_resampler(info, voxel_nm), skip * std) if skip else None
        return replace(task, constants=given, empty=empty)
    sample = whole(parts)
    constants = task.network.constants_from(sample, match_greys=task.options.match_greys)
    empty = empty_block_rule(info, voxel_nm, sample, deviations=skip)
    return replace(task, constants=constants, empty=empty)


def _add_block(plan: PredictPlan, image: Image, layer: Blocks, block: Block, ready: Any) -> None:
    """The task of a block: what it reads of the image, and of its coarse look if it has one."""
    window = plan.layout.window(block.core.shift(plan.box.start), plan.options.axes)
    reads = [(plan.resampler.level, plan.resampler.source(window))]
    if plan.options.skip_empty_std:
        coarse = coarse_resampler(plan.image, plan.output.voxel_nm)
        reads.append((coarse.level, coarse.source(coarse_window(window))))
    parts = [layer.parts(image.level(level), box) for level, box in reads]
    lead = (0,) if plan.output.channels else ()
    key = (layer.name, *lead, *plan.blocks.position(block.index))
    layer.tasks[key] = (_predicted, ready, block, reads, parts)


def _predicted(
    task: Predict, block: Block, reads: list[tuple[int, Box]], parts: list[Parts]
) -> npt.NDArray[np.uint8]:
    """A block of the prediction, by the stage's own task: one at a time in a process.

    Nothing was planned for these workers: each takes its own GPU if it has one.
    """
    boxes = [(level, box, whole(part)) for (level, box), part in zip(reads, parts, strict=True)]
    image, device = _Given(task.image.info, boxes), device_for(task.options.device)
    result: npt.NDArray[np.uint8] = done_once(
        _Returned(replace(task, image=image, device=device)), block
    )
    return result


@dataclass(frozen=True)
class _Given:
    """The voxels that a task was given, read like a volume."""

    info: VolumeInfo
    boxes: list[tuple[int, Box, npt.NDArray[Any]]]

    def read(self, box: Box, level: int = 0) -> npt.NDArray[Any]:
        """Voxels of a box, which lies in one of those given."""
        found = next(one for one in self.boxes if one[0] == level and one[1].contains(box))
        values = found[2][box.within(found[1].start).slices]
        return np.asarray(values, dtype=self.info.dtype)


@dataclass(frozen=True)
class _Returned:
    """The stage's task, but that a block comes back instead of being written."""

    task: Predict

    def load(self, block: Block) -> Any:
        return self.task.load(block)

    def compute(self, block: Block, loaded: Any) -> Any:
        return self.task.compute(block, loaded)

    def store(self, block: Block, result: Any) -> npt.NDArray[np.uint8]:
        return self.task.written(block, result)

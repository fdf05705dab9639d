"""The prediction on the image's own grid: interpolated as a probability, then cut if it was cut.

    mean, max, weighted    the fused probability is interpolated
    union, majority        each axis' votes are interpolated, cut at the threshold and counted anew

Outlines of a cut answer would otherwise follow the model's voxels. Every voxel is the same sum of
products whatever block it is in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.config import PredictOptions
from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import ConfigError
from volproc.fusion import BINARY, Fusion, fuse
from volproc.grid.box import Box, each
from volproc.stages.native import native_step
from volproc.stages.output import begin_volume, finish_volume, pyramid_steps
from volproc.volume.files import beside
from volproc.volume.metadata import VolumeInfo, new_volume
from volproc.volume.resample import SLAB, Resampling, as_tensor, resampled
from volproc.volume.sampling import require_same_corner
from volproc.volume.store import Volume


@dataclass(frozen=True)
class Probabilities:
    """The way of a probability (0 to 255) to another grid."""

    way: Resampling

    def source(self, box: Box) -> Box:
        """Voxels of the prediction that `box` needs."""
        return self.way.source(box)

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[np.uint8]:
        """uint8 of the box's shape."""
        found: npt.NDArray[np.uint8] = resampled(as_tensor(values), self.way, box).numpy()
        return found


@dataclass(frozen=True)
class Votes:
    """The way of votes to another grid, where they are fused: union or majority."""

    way: Resampling
    mode: Fusion
    threshold: float

    def source(self, box: Box) -> Box:
        """Voxels of the votes that `box` needs."""
        return self.way.source(box)

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[np.uint8]:
        """0 or 255 of the box's shape, from one vote (z, y, x) or several, a few planes at a time.

        So what is held is one result, and not three.
        """
        channels = values.reshape(-1, *values.shape[-3:])
        start = self.source(box).start
        found = np.empty(box.shape, np.uint8)
        for slab in box.slabs(SLAB):
            under = (slice(None), *self.source(slab).within(start).slices)
            votes = [resampled(as_tensor(v), self.way, slab).numpy() for v in channels[under]]
            found[slab.within(box.start).slices] = fuse(
                np.stack(votes), mode=self.mode, threshold=self.threshold
            )
        return found


@dataclass(frozen=True)
class NativePlan:
    """What is seen on the image's grid (the prediction, or the votes) and the volume made of it."""

    source: VolumeInfo
    output: VolumeInfo
    fusion: Fusion
    threshold: float
    digest: str

    @property
    def way(self) -> Probabilities | Votes:
        """From the model's grid to the image's."""
        way = way_to(self.source, self.output)
        cut = self.fusion in BINARY
        return Votes(way, self.fusion, self.threshold) if cut else Probabilities(way)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        channels = max(1, len(self.source.channels))
        step = native_step(
            self.source,
            self.output,
            self.way,
            name="native prediction",
            digest=self.digest,
            # of SLAB planes at a time: three float32 of them, each vote, and who says yes
            working=-(-(12 + 2 * channels) * SLAB // self.output.write_unit[0]),
        )
        return (step, *pyramid_steps(self.output, digest=self.digest, name="native prediction"))


def plan_native(
    prediction: VolumeInfo,
    votes: VolumeInfo | None,
    image: VolumeInfo,
    options: PredictOptions,
    *,
    recipe: Recipe,
) -> NativePlan | None:
    """Decide what becomes of the prediction on the grid of `image`, beside it: OUT-native.zarr.

    None if it is not asked for. ConfigError where votes are needed and not kept.
    """
    if not options.native:
        return None
    source = votes if options.fusion in BINARY else prediction
    if source is None:
        raise ConfigError(
            f"[predict] native with fusion = {options.fusion!r} interpolates each axis' votes and "
            "cuts them on the image's grid: keep them (votes = true, or --votes VOTES.zarr), or "
            'take fusion = "mean"'
        )
    if options.box:
        raise ConfigError(
            f"[predict] native with box = {options.box!r}: voxels of the image and the model do "
            "not end at one place inside the image; leave one of them out, or crop the image first "
            "(volproc ingest IMAGE.zarr CROP.zarr --box)"
        )
    output = new_volume(
        beside(prediction.url, "-native.zarr"),
        shape=image.shape,
        voxel_nm=image.voxel_nm,
        corner_nm=image.corner_nm,
        dtype=prediction.dtype,
        window=prediction.window,
    ).stamped(recipe=recipe.record())
    name = digest("native", recipe.digest, output.write_unit)
    return NativePlan(source, output, options.fusion, options.threshold, name)


def run_native(plan: NativePlan, runner: Runner) -> Volume:
    """The finished volume on the image's grid."""
    begun = begin_volume(runner, plan.output, step="predict", digest=plan.digest, steps=plan.steps)
    written, *pyramid = replace(plan, output=begun.info).steps
    runner.run(written)
    return finish_volume(runner, begun, pyramid)


def way_to(source: VolumeInfo, native: VolumeInfo) -> Resampling:
    """From the voxels of `source` to those of `native`, which cover the same space."""
    require_same_corner(source, native)
    z, y, x = each(lambda n, p: n / p, native.voxel_nm, source.voxel_nm)
    return Resampling(0, source.shape, native.shape, (z, y, x), native.voxel_nm)

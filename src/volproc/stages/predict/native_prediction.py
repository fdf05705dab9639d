"""The prediction on the image's own grid, interpolated as a probability.

    mean, max, weighted    the fused probability is interpolated
    union, majority        each axis' votes are interpolated, cut at the threshold and fused again

If the fused mask itself were interpolated, its outlines would follow the model's voxels. Every
voxel is the same sum of products whatever block it is in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import ConfigError
from volproc.fusion import BINARY, Fusion, fuse
from volproc.grid.box import Box, each
from volproc.stages.native_grid import native_step
from volproc.stages.output import begin_volume, finish_volume, pyramid_steps
from volproc.stages.predict.options import PredictOptions
from volproc.volume.file_io import sibling
from volproc.volume.metadata import VolumeInfo, new_volume
from volproc.volume.resampling import SLAB, Resampling, as_tensor, resampled
from volproc.volume.sampling import require_same_corner
from volproc.volume.store import Volume


@dataclass(frozen=True)
class ProbabilityTransform:
    """A probability (0 to 255) on another grid."""

    resampler: Resampling

    def source(self, box: Box) -> Box:
        """Voxels of the prediction that `box` needs."""
        return self.resampler.source(box)

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[np.uint8]:
        """uint8 of the box's shape."""
        found: npt.NDArray[np.uint8] = resampled(as_tensor(values), self.resampler, box).numpy()
        return found


@dataclass(frozen=True)
class VoteTransform:
    """Votes on another grid, where they are fused: union or majority."""

    resampler: Resampling
    mode: Fusion
    threshold: float

    def source(self, box: Box) -> Box:
        """Voxels of the votes that `box` needs."""
        return self.resampler.source(box)

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[np.uint8]:
        """0 or 255 of the box's shape, from one vote (z, y, x) or several.

        A few planes at a time, so that only one result of that shape is in memory, not three.
        """
        channels = values.reshape(-1, *values.shape[-3:])
        start = self.source(box).start
        found = np.empty(box.shape, np.uint8)
        for slab in box.slabs(SLAB):
            under = (slice(None), *self.source(slab).within(start).slices)
            votes = [resampled(as_tensor(v), self.resampler, slab).numpy() for v in channels[under]]
            found[slab.within(box.start).slices] = fuse(
                np.stack(votes), mode=self.mode, threshold=self.threshold
            )
        return found


@dataclass(frozen=True)
class NativePlan:
    """The prediction, or the votes, and the volume on the image's grid that is made from them."""

    source: VolumeInfo
    output: VolumeInfo
    fusion: Fusion
    threshold: float
    digest: str

    @property
    def transform(self) -> ProbabilityTransform | VoteTransform:
        """From the model's grid to the image's."""
        resampler = resampler_to(self.source, self.output)
        if self.fusion in BINARY:
            return VoteTransform(resampler, self.fusion, self.threshold)
        return ProbabilityTransform(resampler)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        channels = max(1, len(self.source.channels))
        step = native_step(
            self.source,
            self.output,
            self.transform,
            name="native prediction",
            digest=self.digest,
            # of SLAB planes at a time: three float32 of them, each vote, and which say yes
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
    """Plan OUT-native.zarr, the prediction on the grid of `image`; None if it is not requested.

    ConfigError where votes are needed and not written.
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
    output = new_volume(
        sibling(prediction.url, "-native.zarr"),
        shape=image.shape,
        voxel_nm=image.voxel_nm,
        corner_nm=image.corner_nm,
        dtype=prediction.dtype,
        window=prediction.window,
    ).with_provenance(recipe=recipe.record())
    name = digest("native", recipe.digest, output.write_unit)
    return NativePlan(source, output, options.fusion, options.threshold, name)


def run_native(plan: NativePlan, runner: Runner) -> Volume:
    """The finished volume on the image's grid."""
    begun = begin_volume(runner, plan.output, step="predict", digest=plan.digest, steps=plan.steps)
    written, *pyramid = replace(plan, output=begun.info).steps
    runner.run(written)
    return finish_volume(runner, begun, pyramid)


def resampler_to(source: VolumeInfo, native: VolumeInfo) -> Resampling:
    """From the voxels of `source` to those of `native`, which cover the same space."""
    require_same_corner(source, native)
    z, y, x = each(lambda n, p: n / p, native.voxel_nm, source.voxel_nm)
    return Resampling(0, source.shape, native.shape, (z, y, x), native.voxel_nm)

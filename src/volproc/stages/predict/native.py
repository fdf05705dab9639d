"""The prediction on the image's own grid: interpolated as a probability, then cut if it was cut.

Every voxel is the same sum of products whatever block it is in. A fusion of 0 and 255 (union,
majority) is interpolated as such and is 255 again from 128 on: its outline becomes smooth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.fusion import level_of
from volproc.grid.box import Box, each
from volproc.stages.native import native_step
from volproc.stages.output import begin_volume, finish_volume, pyramid_steps
from volproc.volume.files import beside
from volproc.volume.metadata import VolumeInfo, new_volume
from volproc.volume.resample import SLAB, Resampling, as_tensor, resampled
from volproc.volume.sampling import sampling_to
from volproc.volume.store import Volume


@dataclass(frozen=True)
class Probabilities:
    """The way of probabilities (0 to 255) to another grid; `binary` ones are cut again."""

    way: Resampling
    binary: bool

    def source(self, box: Box) -> Box:
        """Voxels of the prediction that `box` needs."""
        return self.way.source(box)

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[np.uint8]:
        """uint8 of the box's shape."""
        found: npt.NDArray[np.uint8] = resampled(as_tensor(values), self.way, box).numpy()
        if self.binary:
            return (found >= level_of(0.5)).astype(np.uint8) * np.uint8(255)
        return found


@dataclass(frozen=True)
class NativePlan:
    """A prediction and the volume on the image's grid that is made from it."""

    prediction: VolumeInfo
    output: VolumeInfo
    binary: bool
    digest: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        step = native_step(
            self.prediction,
            self.output,
            Probabilities(way_to(self.prediction, self.output), self.binary),
            name="native prediction",
            digest=self.digest,
            # float32 slabs, at most three at a time
            working=-(-12 * SLAB // self.output.write_unit[0]),
        )
        return (step, *pyramid_steps(self.output, digest=self.digest, name="native prediction"))


def plan_native(
    prediction: VolumeInfo, image: VolumeInfo, *, binary: bool, digest: str
) -> NativePlan:
    """Decide what `prediction` becomes on the grid of `image`, beside it: OUT-native.zarr."""
    output = new_volume(
        beside(prediction.url, "-native.zarr"),
        shape=image.shape,
        voxel_nm=image.voxel_nm,
        dtype=prediction.dtype,
        window=prediction.window,
    )
    return NativePlan(prediction, output, binary, digest)


def run_native(plan: NativePlan, runner: Runner) -> Volume:
    """The finished volume on the image's grid."""
    begun = begin_volume(runner, plan.output, step="predict", digest=plan.digest, steps=plan.steps)
    written, *pyramid = replace(plan, output=begun.info).steps
    runner.run(written)
    return finish_volume(runner, begun, pyramid)


def way_to(prediction: VolumeInfo, native: VolumeInfo) -> Resampling:
    """From the prediction's voxels to those of `native`, which cover the same space."""
    sampling_to(prediction, native)
    z, y, x = each(lambda n, p: n / p, native.voxel_nm, prediction.voxel_nm)
    return Resampling(0, prediction.shape, native.shape, (z, y, x), native.voxel_nm)

"""The prediction on the image's own grid, interpolated as a probability.

    mean, max, weighted    the fused probability is interpolated
    union, majority        each axis' votes are interpolated, cut at the threshold and fused again

If the fused mask itself were interpolated, its outlines would follow the model's voxels. Every
voxel is the same sum of products whatever block it is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.engine.ledger import digest
from volproc.engine.recipe import Recipe
from volproc.errors import ConfigError
from volproc.fusion import BINARY, Fusion, fuse
from volproc.grid.box import Box, each
from volproc.stages.native_grid import NativePlan, native_volume
from volproc.stages.predict.options import PredictOptions
from volproc.volume.metadata import VolumeInfo
from volproc.volume.resampling import SLAB, Resampling, as_tensor, resampled
from volproc.volume.sampling import require_same_corner


@dataclass(frozen=True)
class ProbabilityTransform:
    """A probability (0 to 255) on another grid."""

    resampler: Resampling

    def source(self, box: Box) -> Box:
        """Voxels of the prediction that `box` needs."""
        return self.resampler.source(box)

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[np.uint8]:
        """uint8 of the box's shape; channels stay first."""
        if values.ndim == 4:
            return np.stack([self.sample(channel, box) for channel in values])
        found: npt.NDArray[np.uint8] = resampled(as_tensor(values), self.resampler, box).numpy()
        return found


@dataclass(frozen=True)
class VoteTransform:
    """Votes on another grid, where they are fused: union or majority."""

    resampler: Resampling
    mode: Fusion
    threshold: float
    classes: int = 1

    def source(self, box: Box) -> Box:
        """Voxels of the votes that `box` needs."""
        return self.resampler.source(box)

    def sample(self, values: npt.NDArray[Any], box: Box) -> npt.NDArray[np.uint8]:
        """0 or 255 of the box's shape, from one vote (z, y, x) or several; classes stay first."""
        if self.classes > 1:
            of_classes = values.reshape(self.classes, -1, *values.shape[-3:])
            return np.stack([self._fused(votes, box) for votes in of_classes])
        return self._fused(values.reshape(-1, *values.shape[-3:]), box)

    def _fused(self, channels: npt.NDArray[Any], box: Box) -> npt.NDArray[np.uint8]:
        """Of one class.

        A few planes at a time, so that only one result of that shape is in memory, not three.
        """
        start = self.source(box).start
        found = np.empty(box.shape, np.uint8)
        for slab in box.slabs(SLAB):
            under = (slice(None), *self.source(slab).within(start).slices)
            votes = [resampled(as_tensor(v), self.resampler, slab).numpy() for v in channels[under]]
            found[slab.within(box.start).slices] = fuse(
                np.stack(votes), mode=self.mode, threshold=self.threshold
            )
        return found


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
    if not options.image_grid:
        return None
    source = votes if options.fusion in BINARY else prediction
    if source is None:
        raise ConfigError(
            f"[predict] image_grid with fusion = {options.fusion!r} interpolates axis votes and "
            "cuts them on the image's grid: keep them (votes = true, or --votes VOTES.zarr), or "
            'take fusion = "mean"'
        )
    if options.box:
        raise ConfigError(
            f"[predict] image_grid with box = {options.box!r}: voxels of the image and the model "
            "do not end at one place inside the image; leave one of them out, or crop the image "
            "first (volproc ingest IMAGE.zarr CROP.zarr --box)"
        )
    output = native_volume(prediction, image, recipe)
    resampler, transform = resampler_to(source, output), None
    if options.fusion in BINARY:
        classes = max(1, len(output.channels))
        transform = VoteTransform(resampler, options.fusion, options.threshold, classes)
    return NativePlan(
        stage="predict",
        source=source,
        output=output,
        transform=transform or ProbabilityTransform(resampler),
        digest=digest("native", recipe.digest, output.write_unit),
        # of SLAB planes at a time: three float32 of them, each vote, and which say yes
        working=-(-(12 + 2 * max(1, len(source.channels))) * SLAB // output.write_unit[0]),
    )


def resampler_to(source: VolumeInfo, native: VolumeInfo) -> Resampling:
    """From the voxels of `source` to those of `native`, which cover the same space."""
    require_same_corner(source, native)
    z, y, x = each(lambda n, p: n / p, native.voxel_nm, source.voxel_nm)
    return Resampling(0, source.shape, native.shape, (z, y, x), native.voxel_nm)

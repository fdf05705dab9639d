"""Raw patches in, a batch out: every change in its order."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from volproc.grid.scale import VoxelNm
from volproc.model.normalisation import CLIP
from volproc.model.spec import PlaneSpec
from volproc.stages.train.augmentation.curves import curved
from volproc.stages.train.augmentation.geometry import Parts, mirrored, turned, warped
from volproc.stages.train.augmentation.grey import normalised, shaded
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.augmentation.sections import (
    blank_sections,
    charge_sections,
    repeat_sections,
    shade_sections,
    shift_sections,
)
from volproc.stages.train.augmentation.streams import Streams
from volproc.stages.train.augmentation.texture import blurred, noisy
from volproc.stages.train.augmentation.views import Views
from volproc.stages.train.batch import Batch, RawPatches


@dataclass(frozen=True)
class Augmenter:
    """What a network of `spec` learns from, made of raw patches, on their device."""

    options: AugmentationOptions
    spec: PlaneSpec
    seed: int
    voxel_nm: VoxelNm
    """Of the grid that patches are cut from: where it is not isotropic, no section is turned."""

    def __call__(self, raw: RawPatches) -> Batch:
        """Normalised and changed: a pure function of the seed and of each patch on its own."""
        options, views = self.options, Views(raw.axes, self.voxel_nm)
        streams = Streams(self.seed, raw.step, raw.first, len(raw.planes))
        stored = raw.planes[:, None], raw.target, raw.weight
        flipped = mirrored(stored, streams, flips=options.flips)
        stack, target, weight = shift_sections(flipped, views, streams, options)
        planes = normalised(stack[:, 0], raw.mean, raw.std)
        planes = _acquired(planes, views, streams, options)
        parts = Parts(planes, self._predicted(target), self._predicted(weight))
        moved = warped(parts, views, streams, options)
        planes, target, weight = turned(moved, views, streams, flips=options.flips)
        planes = curved(planes, streams, options.curves)
        planes = blurred(planes, views, streams, options)
        planes = noisy(planes, streams, options)
        return Batch(planes.clamp(-CLIP, CLIP), target, weight)

    def _predicted(self, part: Tensor) -> Tensor:
        """The central slices, which the network predicts, of (N, classes, slices_in, H, W)."""
        return part.narrow(2, self.spec.margin, self.spec.slices_out)


def _acquired(
    planes: Tensor, views: Views, streams: Streams, options: AugmentationOptions
) -> Tensor:
    """Grey values of patches and of sections, which are still where the microscope cut them."""
    planes = shaded(planes, streams, options)
    planes = shade_sections(planes, views, streams, options)
    planes = charge_sections(planes, views, streams, options)
    planes = repeat_sections(planes, views, streams, options.repeated)
    return blank_sections(planes, views, streams, options.missing)

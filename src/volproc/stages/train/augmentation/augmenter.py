"""Raw patches in, a batch out: every change in its order."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from volproc.grid.scale import VoxelNm
from volproc.model.normalisation import CLIP
from volproc.model.spec import PlaneSpec
from volproc.stages.train.augmentation.curves import draw_curves
from volproc.stages.train.augmentation.geometry import Parts, mirrored, turn, warped
from volproc.stages.train.augmentation.grey import grey_values
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.augmentation.sections import (
    blank_sections,
    charge_sections,
    repeat_sections,
    shade_sections,
    shift_sections,
)
from volproc.stages.train.augmentation.streams import Streams
from volproc.stages.train.augmentation.texture import add_noise, blur
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
        # 8-bit as long as possible: what moves whole voxels takes a quarter of the time
        raw_parts = raw.planes, raw.target, raw.weight
        stored = Parts(*(mirrored(part, streams, flips=options.flips) for part in raw_parts))
        shift_sections(stored, views, streams, options)
        planes = grey_values(stored.planes, raw, streams, options)
        _spoil_sections(planes, views, streams, options)
        parts = Parts(planes, self._predicted(stored.target), self._predicted(stored.weight))
        for part in parts:
            turn(part, views, streams, flips=options.flips)
        planes, target, weight = warped(parts, views, streams, options)
        draw_curves(planes, streams, options.curves)
        blur(planes, views, streams, options)
        add_noise(planes, streams, options)
        return Batch(planes.clamp_(-CLIP, CLIP), target, weight)

    def _predicted(self, part: Tensor) -> Tensor:
        """The central slices, which the network predicts, of (N, classes, slices_in, H, W)."""
        return part.narrow(2, self.spec.margin, self.spec.slices_out)


def _spoil_sections(
    planes: Tensor, views: Views, streams: Streams, options: AugmentationOptions
) -> None:
    """What happens to sections, as long as they are where the microscope cut them."""
    shade_sections(planes, views, streams, options)
    charge_sections(planes, views, streams, options)
    repeat_sections(planes, views, streams, options.repeated)
    blank_sections(planes, views, streams, options.missing)

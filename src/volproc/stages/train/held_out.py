"""Regions that are held out, predicted as `volproc predict` does: its tiles, votes and fusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from volproc.grid.box import Box
from volproc.model.network import Network, Predict
from volproc.stages.inference.batches import batch_limit
from volproc.stages.inference.device_link import link_to
from volproc.stages.inference.layout import lay_out
from volproc.stages.inference.tiling import Layout
from volproc.stages.inference.votes import vote
from volproc.stages.train.pairs import LabelledImage, Truth
from volproc.volume.resampling import resampled, resampling_to
from volproc.volume.store import Volume

Votes = npt.NDArray[np.uint8]
"""Probabilities times 255, (classes, axes, z, y, x)."""


@dataclass(frozen=True)
class HeldOut:
    """What of an image a network never learns from; the network sees what lies around it, too."""

    labelled: LabelledImage
    network: Network
    """Described, without weights."""
    axes: str
    """Those that are looked along, such as "zyx"."""

    @property
    def box(self) -> Box:
        """The voxels of the model's grid that are scored."""
        return self.labelled.box

    @cached_property
    def truths(self) -> Sequence[Truth]:
        """What is known of each class there."""
        return self.labelled.truths(self.box)

    def votes(self, predict: Predict, device: str) -> Votes:
        """The votes of the whole region."""
        image, layout = Volume(self.labelled.source.image), self._layout
        resampling = resampling_to(image.info, self.labelled.voxel_nm)
        window = layout.window(self.box, self.axes)
        values = image.read(resampling.source(window), level=resampling.level)
        link = link_to(device)
        with torch.inference_mode():
            votes = vote(
                resampled(link.to_device(values)(), resampling, window),
                origin=window,
                core=self.box,
                axes=self.axes,  # type: ignore[arg-type]
                outputs=range(len(self.truths)),
                layout=layout,
                predict=predict,
                constants=self.labelled.normalisation,
                limit=batch_limit(self.network, device, requested=0),
            )
        return link.to_host(votes)()

    @cached_property
    def _layout(self) -> Layout:
        network = self.network
        return lay_out(
            resampling_to(self.labelled.source.image, self.labelled.voxel_nm).shape_out,
            halo=network.halo,
            stride=network.stride,
            slices_in=network.slices_in,
            slices_out=network.slices_out,
            box=self.box,
            classes=len(network.classes),
        )

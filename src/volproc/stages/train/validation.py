"""The score of a network on volumes that it is not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from volproc.model.weights import PlaneNetwork
from volproc.stages.train.losses import dice_counts
from volproc.stages.train.pairs import Pair


@dataclass(frozen=True)
class Validator:
    """Dice of a network over whole planes of the held-out pairs, along each axis on its own."""

    pairs: Sequence[Pair]

    def __call__(self, network: PlaneNetwork) -> Mapping[str, float]:
        """{"dice_z": ..., "dice_y": ..., "dice_x": ...}, empty without pairs."""
        return {f"dice_{'zyx'[axis]}": self._dice(network, axis) for axis in range(3) if self.pairs}

    def _dice(self, network: PlaneNetwork, axis: int) -> float:
        counts = [
            dice_counts(
                predicted(network, pair, axis),
                torch.from_numpy(np.moveaxis(pair.ground_truth, axis, 0)),
            )
            for pair in self.pairs
        ]
        overlap, both = map(sum, zip(*counts, strict=True))
        return round(overlap / both, 5) if both else 1.0


@torch.inference_mode()
def predicted(network: PlaneNetwork, pair: Pair, axis: int) -> torch.Tensor:
    """Logits of a whole pair viewed along `axis`, which comes first; mirrored at the borders."""
    spec = network.spec
    planes = pair.normalisation.apply(torch.from_numpy(pair.image).movedim(axis, 0))
    count, height, width = planes.shape
    after = (-count % spec.slices_out, -height % spec.stride, -width % spec.stride)
    index = np.pad(np.arange(count), (spec.margin, spec.margin + after[0]), "reflect")
    padded = functional.pad(planes, (0, after[2], 0, after[1]), mode="reflect")
    device = next(network.parameters()).device
    out = []
    for start in range(0, count, spec.slices_out):
        stack = padded[torch.from_numpy(index[start : start + spec.slices_in])][None].to(device)
        out.append(
            network(stack.to(memory_format=torch.channels_last))[0, :, :height, :width].cpu()
        )
    return torch.cat(out)[:count]

"""The score of a network on volumes that it is not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from volproc.model.unet import UNet
from volproc.stages.train.losses import dice_counts
from volproc.stages.train.pairs import Pair


@dataclass(frozen=True)
class Validator:
    """Dice of a network over whole planes of the held-out pairs, along each axis on its own."""

    pairs: Sequence[Pair]
    classes: Sequence[str] = ("",)
    axes: Sequence[int] = (0, 1, 2)

    def __call__(self, network: UNet) -> Mapping[str, float]:
        """{"dice_z": ..., "dice_y": ..., "dice_x": ...}, empty without pairs.

        Of several classes {"dice_CLASS_z": ...}.
        """
        found: dict[str, float] = {}
        for axis in self.axes if self.pairs else ():
            names = [f"{one}_" * (len(self.classes) > 1) for one in self.classes]
            scores = self._dice(network, axis)
            found |= {f"dice_{a}{'zyx'[axis]}": s for a, s in zip(names, scores, strict=True)}
        return found

    def _dice(self, network: UNet, axis: int) -> list[float]:
        counts = torch.zeros(len(self.classes), 2, dtype=torch.int64)
        for pair in self.pairs:
            logits = predicted(network, pair, axis)
            for number, real in enumerate(pair.ground_truth):
                seen = torch.from_numpy(np.moveaxis(pair.weights[number] > 0, axis, 0).copy())
                truth = torch.from_numpy(np.moveaxis(real, axis, 0).copy())
                counts[number] += torch.tensor(dice_counts(logits[number][seen], truth[seen]))
        return [round(int(a) / int(b), 5) if b else 1.0 for a, b in counts]


@torch.inference_mode()
def predicted(network: UNet, pair: Pair, axis: int) -> torch.Tensor:
    """Logits (classes, slices, H, W) of a whole pair along `axis`; mirrored at the borders."""
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
        logits = network(stack.to(memory_format=torch.channels_last))[0, :, :height, :width]
        out.append(logits.unflatten(0, (spec.classes, spec.slices_out)).cpu())
    return torch.cat(out, dim=1)[:, :count]

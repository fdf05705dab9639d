"""Weights of a trained network as the beginning of another training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from volproc.model.etchacell import EtchACell, PlaneDropout
from volproc.model.spec import Freeze
from volproc.model.unet import UNet


class _StaysInEval(nn.Module):
    """Of a layer that a training leaves alone: `train()` of its network does not reach it."""

    def train(self, mode: bool = True) -> Self:
        """In eval mode, whatever `mode` is."""
        return super().train(False)


class FrozenBatchNorm(_StaysInEval, nn.BatchNorm2d):
    """Statistics that stay what they are, and are used as they are."""


class FrozenDropout(_StaysInEval, PlaneDropout):
    """Drops nothing."""


_FROZEN: Mapping[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm2d: FrozenBatchNorm,
    PlaneDropout: FrozenDropout,
}


def freeze(network: UNet | EtchACell, what: Freeze) -> UNet | EtchACell:
    """`network`, of which the parts named learn nothing any more.

    Their parameters get no gradients, and their BatchNorms keep their statistics when the network
    is put into train mode.
    """
    kept = {
        "nothing": (),
        "encoder": (network.down,),
        "body": (network.down, network.lift, network.up),
    }
    for part in kept[what]:
        part.requires_grad_(False)
        for layer in part.modules():
            layer.__class__ = _FROZEN.get(type(layer), type(layer))
        part.eval()
    return network


@torch.no_grad()
def copy_weights(
    trained: UNet | EtchACell,
    into: UNet | EtchACell,
    *,
    classes: tuple[Sequence[str], Sequence[str]],
) -> UNet | EtchACell:
    """`into` with all that `trained` learnt; they differ in the `classes` of their heads alone.

    `classes` are their names in both. The head is kept for a class of the same name, and stays as
    it is for any other.
    """
    before, after = classes
    state, known = into.state_dict(), trained.state_dict()
    for name, value in state.items():
        if not name.startswith("head."):
            value.copy_(known[name])
            continue
        rows, learnt = _by_class(value, after), _by_class(known[name], before)
        for n, one in enumerate(after):
            if one in before:
                rows[n].copy_(learnt[before.index(one)])
    return into


def _by_class(head: Tensor, classes: Sequence[str]) -> Tensor:
    """(classes, outputs of a class, ...) of a head's weight or bias, not copied."""
    return head.view(len(classes), -1, *head.shape[1:])

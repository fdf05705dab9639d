"""How far one of our own networks sees, measured: that the arithmetic of its layers is right."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from volproc.model.foreign.probe import sight
from volproc.model.weights import PlaneNetwork

WIDE = 2
"""Strides of a strip's short side."""


@torch.inference_mode()
def measured_halo(network: PlaneNetwork, *, name: str) -> int | None:
    """Pixels of context on either side of a tile that change its output (`probe`).

    At most `halo` of its description; None where all of a strip changes, four times as long. In
    double precision, so that no trace is lost in rounding. ModelError for a network that outputs
    the same for any noise, or no numbers.
    """
    spec = network.spec
    double = copy.deepcopy(network).cpu().double().eval()
    length, wide = 4 * (spec.halo + spec.stride), WIDE * spec.stride

    def run(planes: Tensor) -> Tensor:
        output: Tensor = double(planes.double())
        return output

    found = [
        sight(run, (spec.slices_in, *strip), axis, stride=spec.stride, name=name).halo
        for axis, strip in ((2, (length, wide)), (3, (wide, length)))
    ]
    known = [halo for halo in found if halo is not None]
    return max(known) if len(known) == len(found) else None

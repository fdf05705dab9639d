"""The network of Etch-a-Cell, written from its description: an Inception-style U-Net.

        12 planes                                              12 planes, of which the caller keeps
        │                                                      ▲ the central ones; 1x1 convolution
        towers ───────────────────── skip ────────────────── towers
          │ max of 2x2                                         ▲ transposed 3x3, stride 2
          towers ──────────────────── skip ────────────────── towers
            └────────────────── ... deepest level ... ───────────┘

A block has three towers of `dim` channels each (1x1 then 3x3; 1x1 then 5x5; greatest of 3x3 then
1x1), LeakyReLU after every convolution, and gives its own input and the towers, side by side.
`dim` doubles with every level. Only the deepest block has a BatchNorm, on its input.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from volproc.model.etchacell_spec import BLOCK_REACH, EtchACellSpec
from volproc.model.output_window import OutputWindow, regions

SLOPE = 0.1
"""Of the LeakyReLU for negative values."""
BATCH_NORM_EPS = 1e-3
"""Pixels that a block sees to either side: its 5x5 convolution."""
DROPOUT = 0.3


class PlaneDropout(nn.Module):
    """Drops whole channels in training, which ones following from the number of the step alone.

    torch's own draws from a state that no checkpoint holds, so a training that was interrupted
    would end with other weights. Processes that train together drop what one alone would.
    """

    first = 0
    """The number in the whole batch of the first sample that this process has."""

    def forward(self, values: Tensor, step: Tensor) -> Tensor:
        """`values` (N, C, H, W) with a share of `DROPOUT` of their channels 0, the others more."""
        if not self.training:
            return values
        samples, channels = values.shape[:2]
        first, end = self.first * channels, (self.first + samples) * channels
        numbers = torch.arange(first, end, device=values.device)
        kept = _chances(numbers, step).view(samples, channels, 1, 1) >= DROPOUT
        return values * (kept.to(values.dtype) / (1 - DROPOUT))


def _chances(numbers: Tensor, step: Tensor) -> Tensor:
    """From 0 to 1, one for each of the int64 `numbers`, at random: hashes, so no host has to wait.

    The mixing of SplitMix64 (Steele et al. 2014, doi:10.1145/2714064.2660195), in wrapping int64.
    """
    mixed = (numbers + (step << 32)) * -7046029254386353131
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        mixed = (mixed ^ (mixed >> shift)) * factor
    return ((mixed ^ (mixed >> 31)) & 0xFFFFFF).to(torch.float32) / 2**24


class _Towers(nn.Module):
    """A block: its input, and beside it three towers of `dim` channels."""

    def __init__(self, before: int, dim: int, *, deepest: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(before, eps=BATCH_NORM_EPS) if deepest else None
        self.dropout = PlaneDropout()
        act = partial(nn.LeakyReLU, SLOPE)
        self.three = nn.Sequential(
            nn.Conv2d(before, dim, 1), act(), nn.Conv2d(dim, dim, 3, padding=1), act()
        )
        self.five = nn.Sequential(
            nn.Conv2d(before, dim, 1), act(), nn.Conv2d(dim, dim, 5, padding=2), act()
        )
        self.pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), act(), nn.Conv2d(before, dim, 1), act()
        )

    def forward(self, values: Tensor) -> Tensor:
        if self.norm:
            values = self.dropout(self.norm(values), self.norm.num_batches_tracked)
        towers = (self.three(values), self.five(values), self.pool(values))
        return torch.cat([values, *towers], dim=1)


class EtchACell(nn.Module):
    """Logits (N, classes x slices_out, H, W) from normalised planes (N, slices_in, H, W).

    H and W are multiples of `spec.stride`. Probabilities are the sigmoid of the logits.
    """

    def __init__(self, spec: EtchACellSpec) -> None:
        super().__init__()
        self.spec = spec
        deepest = spec.levels - 1
        self.down = nn.ModuleList(
            _Towers(before, spec.start << n, deepest=n == deepest)
            for n, before in enumerate(spec._downs())
        )
        self.lift = nn.ModuleList(
            nn.ConvTranspose2d(below, spec.start << n, 3, stride=2)
            for n, (_, below) in enumerate(spec._ups())
        )
        self.up = nn.ModuleList(
            _Towers(before, spec.start << n, deepest=False)
            for n, (before, _) in enumerate(spec._ups())
        )
        self.head = nn.Conv2d(spec.channels[-1], spec.channels_out, 1)

    def forward(self, planes: Tensor, requested: OutputWindow | None = None) -> Tensor:
        """Logits for normalised planes: of the `requested` rows and columns."""
        kept = regions(requested, planes, levels=self.spec.levels, reach=BLOCK_REACH, back=1)
        values, skips = planes, []
        for level, towers in enumerate(self.down):
            values = towers(values if level == 0 else nn.functional.max_pool2d(values, 2))
            skips.append(values)
        seen = None
        for level in reversed(range(len(self.up))):
            # one row and column too many: what is beyond the end goes, as in TensorFlow's "same"
            lifted = self.lift[level](kept[level + 1].of(values, seen))[..., :-1, :-1]
            raised = nn.functional.leaky_relu(lifted, SLOPE)
            seen = kept[level + 1].raised()
            values = self.up[level](torch.cat([seen.of(skips[level]), raised], dim=1))
        return kept[0].of(self.head(values), seen)

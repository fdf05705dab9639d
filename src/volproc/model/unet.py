"""A U-Net from a small description: planes in as channels, planes of logits out.

        slices_in planes                                  slices_out planes of each class
        │ stem: s x s pixels become channels                        ▲ pixels back, 1x1 convolution
        convs_down ──────────────────── skip ───────────────── convs_up
          │ max of 2x2                                            ▲ transposed 2x2
          convs_down ────────────────── skip ──────────────── convs_up
            └───────────────── ... deepest level ...  ───────────┘

Every convolution is 3x3 with zeros around, then BatchNorm with running statistics, then ReLU: the
output at a pixel depends on the pixels within `reach` alone, and not on the tile it lies in (with
Group- or InstanceNorm it would). All up- and downsampling is 2x2 in 2x2 out, so two tiles whose
origins differ by a multiple of `stride` see the same network.

Variants see equally far and cost other amounts. `block`: residual convolutions add what they
read, from the second of a level on (He et al., CVPR 2016); separable ones are a 3x3 convolution
within each channel and a 1x1 across them (Chollet, CVPR 2017), but for the first of all. `skips`:
the encoder's planes beside those lifted, or added to them, which halves what follows.

The stem buys context cheaply: with stem 2 no convolution runs at full resolution, which
costs a quarter of the arithmetic and halves the tile's memory.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from volproc.model.output_window import OutputWindow, regions
from volproc.model.spec import Block
from volproc.model.unet_spec import UNetSpec


class _Residual(nn.Module):
    """Adds what it reads to the convolution of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.relu(values + self.body(values))


def _convolutions(
    before: int, after: int, count: int, *, block: Block, dense: bool = False
) -> nn.Sequential:
    """`count` convolutions in a row; the first is no separable one if `dense`."""
    layers: list[nn.Module] = []
    for index in range(count):
        wide = before if index == 0 else after
        if block == "residual" and index > 0:
            layers.append(_Residual(after))
            continue
        if block == "separable" and not (dense and index == 0):
            layers.append(nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False))
            layers.append(nn.Conv2d(wide, after, 1, bias=False))
        else:
            layers.append(nn.Conv2d(wide, after, 3, padding=1, bias=False))
        layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Logits (N, classes x slices_out, H, W) from normalised planes (N, slices_in, H, W).

    H and W are multiples of `spec.stride`.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        steps = list(pairwise(spec.widths))
        befores = (spec.slices_in * spec.stem**2, *spec.widths[:-1])
        self.stem: nn.Module = nn.PixelUnshuffle(spec.stem)
        self.down = nn.ModuleList(
            _convolutions(before, here, spec.convs_down, block=spec.block, dense=level == 0)
            for level, (before, here) in enumerate(zip(befores, spec.widths, strict=True))
        )
        self.lift = nn.ModuleList(nn.ConvTranspose2d(below, here, 2, 2) for here, below in steps)
        self.up = nn.ModuleList(
            _convolutions(spec.joined(here), here, spec.convs_up, block=spec.block)
            for here, _ in steps
        )
        self.head = nn.Conv2d(spec.widths[0], spec.channels_out * spec.stem**2, 1)

    def forward(self, planes: Tensor, requested: OutputWindow | None = None) -> Tensor:
        """Logits of normalised planes at the `requested` pixels, multiples of the stem."""
        kept = regions(
            requested, planes, stem=self.spec.stem, levels=len(self.down), reach=self.spec.convs_up
        )
        values: Tensor = self.stem(planes)
        skips: list[Tensor] = []
        for level, convolve in enumerate(self.down):
            values = convolve(values if level == 0 else nn.functional.max_pool2d(values, 2))
            skips.append(values)
        seen = None
        for level in reversed(range(len(self.up))):
            lifted = self.lift[level](kept[level + 1].of(values, seen))
            seen = kept[level + 1].raised()
            skip = seen.of(skips[level])
            added = self.spec.skips == "add"
            values = self.up[level](lifted + skip if added else torch.cat([skip, lifted], dim=1))
        logits = kept[0].of(self.head(values), seen)
        return nn.functional.pixel_shuffle(logits, self.spec.stem)

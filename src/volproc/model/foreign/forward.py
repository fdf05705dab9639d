"""Planes in, planes out, whatever axes and sizes the network itself takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from volproc.errors import ModelError
from volproc.model.foreign.model_card import Description
from volproc.model.foreign.runnable import Runnable

LETTERS = "bczyx"


@dataclass
class Forward:
    """(N, C, D', H, W) from prepared planes (N, D, H, W), float32.

    Planes of a size the network does not take are extended by their last row and column. `crop` is
    what a network without padding loses on either side in plane: planes are extended by that much
    first, so that every pixel has an output. Further than the network's reach from the border the
    output does not depend on it.
    """

    run: Runnable
    description: Description
    crop: int = 0

    def __call__(self, planes: Tensor) -> Tensor:
        """The output before any postprocessing; D' is the network's own depth."""
        height, width = planes.shape[-2:]
        fitted = self._fitted(planes)
        if "b" in self.description.axes:
            output = self.plain(fitted)
        else:
            output = torch.cat([self.plain(one.unsqueeze(0)) for one in fitted])
        if min(output.shape[-2] - height, output.shape[-1] - width) < 0:
            raise self._too_small(planes, output)
        return output[..., :height, :width]

    def lost(self, planes: Tensor) -> tuple[int, int]:
        """How much smaller the output is than fitted `planes`: in depth and in plane.

        ModelError unless it is a centred part of them.
        """
        fitted = self._fitted(planes)
        output = self.plain(fitted)
        depth, height, width = (
            before - after for before, after in zip(fitted.shape[1:], output.shape[2:], strict=True)
        )
        if height != width or min(depth, height) < 0 or height % 2:
            raise self._too_small(planes, output)
        return depth, height

    def channel(self, planes: Tensor) -> Tensor:
        """The requested channel alone, (N, D', H, W), before any postprocessing."""
        return self.requested(self(planes))

    def requested(self, output: Tensor) -> Tensor:
        """The requested channel of an output; ModelError if it is not known which."""
        return output[:, self.description.channel_of(output.shape[1])]

    def ready(self, planes: Tensor) -> Tensor:
        """The network's own input for `planes`."""
        return self._to_model(self._fitted(planes))

    def _fitted(self, planes: Tensor) -> Tensor:
        size = self.description.size
        more = []
        for length in reversed(planes.shape[-2:]):
            requested = length + 2 * self.crop
            more += [self.crop, (size.fit(requested) if size else requested) - length - self.crop]
        return torch.nn.functional.pad(planes, more, mode="replicate") if any(more) else planes

    def plain(self, planes: Tensor) -> Tensor:
        """The output for planes of a size that it takes, as large as it comes."""
        return self._from_model(self.run(self._to_model(planes)))

    def _to_model(self, planes: Tensor) -> Tensor:
        """(N, D, H, W) in the order of the network's axes."""
        values = planes.unsqueeze(1)
        axes = self.description.axes
        for n in reversed(range(5)):
            if LETTERS[n] not in axes:
                values = values.squeeze(n)
        kept = [letter for letter in LETTERS if letter in axes]
        return values.permute([kept.index(letter) for letter in axes]).contiguous()

    def _from_model(self, output: Tensor) -> Tensor:
        """The network's output as (N, C, D, H, W)."""
        axes = self.description.output_axes or self.description.axes
        if output.ndim != len(axes):
            raise ModelError(
                f"{self.description.name} predicts {output.ndim} axes, {tuple(output.shape)}, "
                f"where {axes!r} is stated; state output_axes in a card"
            )
        kept = [letter for letter in LETTERS if letter in axes]
        values = output.permute([axes.index(letter) for letter in kept])
        for n, letter in enumerate(LETTERS):
            if letter not in axes:
                values = values.unsqueeze(n)
        return values

    def _too_small(self, planes: Tensor, output: Tensor) -> ModelError:
        return ModelError(
            f"{self.description.name} predicts {tuple(output.shape[2:])} (z, y, x) for planes of "
            f"{tuple(planes.shape[1:])}: its output must lie in the middle of what it sees, at the "
            "same resolution"
        )

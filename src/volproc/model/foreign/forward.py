"""Planes in, planes out: what a network's own axes and sizes ask for in between."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from volproc.errors import ModelError
from volproc.model.foreign.description import Description
from volproc.model.foreign.runnable import Runnable

LETTERS = "bczyx"


@dataclass
class Forward:
    """(N, C, D', H, W) from prepared planes (N, D, H, W), float32.

    Planes of a size the network does not take are continued after their end, as far as it needs,
    by their last row and column. `crop` is what a network without padding loses on either side in
    plane: planes are continued by that much before, so that every pixel has an answer. No answer
    further than the network's reach from the end of its planes can tell.
    """

    run: Runnable
    description: Description
    crop: int = 0

    def __call__(self, planes: Tensor) -> Tensor:
        """The answer, its channels before any postprocessing; D' is what the network answers."""
        height, width = planes.shape[-2:]
        fitted = self._fitted(planes)
        if "b" in self.description.axes:
            answer = self.plain(fitted)
        else:
            answer = torch.cat([self.plain(one.unsqueeze(0)) for one in fitted])
        if min(answer.shape[-2] - height, answer.shape[-1] - width) < 0:
            raise self._too_small(planes, answer)
        return answer[..., :height, :width]

    def lost(self, planes: Tensor) -> tuple[int, int]:
        """How much smaller the answer is than fitted `planes`: in depth and in plane.

        ModelError unless it is a centred part of them.
        """
        fitted = self._fitted(planes)
        answer = self.plain(fitted)
        depth, height, width = (
            before - after for before, after in zip(fitted.shape[1:], answer.shape[2:], strict=True)
        )
        if height != width or min(depth, height) < 0 or height % 2:
            raise self._too_small(planes, answer)
        return depth, height

    def channel(self, planes: Tensor) -> Tensor:
        """The wanted channel alone, (N, D', H, W), before any postprocessing."""
        return self.requested(self(planes))

    def requested(self, answer: Tensor) -> Tensor:
        """The wanted channel of an answer; ModelError if it is not known which."""
        return answer[:, self.description.channel_of(answer.shape[1])]

    def ready(self, planes: Tensor) -> Tensor:
        """What the network itself is given for `planes`."""
        return self._to_model(self._fitted(planes))

    def _fitted(self, planes: Tensor) -> Tensor:
        size = self.description.size
        more = []
        for length in reversed(planes.shape[-2:]):
            requested = length + 2 * self.crop
            more += [self.crop, (size.fit(requested) if size else requested) - length - self.crop]
        return torch.nn.functional.pad(planes, more, mode="replicate") if any(more) else planes

    def plain(self, planes: Tensor) -> Tensor:
        """The answer to planes of a size it takes, as large as it is."""
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

    def _from_model(self, answer: Tensor) -> Tensor:
        """The network's answer as (N, C, D, H, W)."""
        axes = self.description.output_axes or self.description.axes
        if answer.ndim != len(axes):
            raise ModelError(
                f"{self.description.name} answers with {answer.ndim} axes, {tuple(answer.shape)}, "
                f"where {axes!r} is stated; state output_axes in a card"
            )
        kept = [letter for letter in LETTERS if letter in axes]
        values = answer.permute([axes.index(letter) for letter in kept])
        for n, letter in enumerate(LETTERS):
            if letter not in axes:
                values = values.unsqueeze(n)
        return values

    def _too_small(self, planes: Tensor, answer: Tensor) -> ModelError:
        return ModelError(
            f"{self.description.name} answers {tuple(answer.shape[2:])} (z, y, x) for planes of "
            f"{tuple(planes.shape[1:])}: its answer must lie in the middle of what it sees, at the "
            "same resolution"
        )

"""How long and how fast to train."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; everything in steps."""

    steps: int
    learning_rate: float = 2e-3
    """The peak, reached after `warmup`, then a half cosine down to 0."""
    warmup: int = 50
    weight_decay: float = 1e-4
    average: float = 0.998
    """The kept weights are a running average over about 1 / (1 - average) steps."""
    checkpoint: int = 100
    validate: int = 500
    patience: int = 0
    """Validations without a better score after which training ends; 0 for none."""

    def rate(self, step: int) -> float:
        """The learning rate of `step`."""
        rising = min(1.0, (step + 1) / self.warmup)
        return self.learning_rate * rising * 0.5 * (1 + cos(pi * step / self.steps))

    def decay(self, step: int) -> float:
        """How much of the average stays after `step` steps: it begins with the newest weights."""
        return min(self.average, step / (step + 9))

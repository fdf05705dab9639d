"""Random numbers of a batch: each kind of change has a stream of its own for each patch."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np

Rng = np.random.Generator


@dataclass(frozen=True)
class Streams:
    """A pure function of the seed, the step, the number of a patch, and the kind of change."""

    seed: int
    step: int
    first: int
    """Number of the first patch of this batch."""
    count: int

    def __call__(self, kind: str, probability: float) -> dict[int, Rng]:
        """The patches that `kind` changes, by their place in the batch, with their streams."""
        if probability == 0:
            return {}
        code = crc32(kind.encode())
        found = {
            place: np.random.default_rng([self.seed, self.step, self.first + place, code])
            for place in range(self.count)
        }
        return {place: rng for place, rng in found.items() if rng.random() < probability}

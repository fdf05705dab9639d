"""How a phantom's sample and microscope look: that of HeLa cells, or drawn from the seed.

`RANGES` is the whole of the varied look: what is not listed there keeps its value for HeLa cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

MIDDLE_GREY = 160.0
"""The grey level that keeps its value when contrast changes."""


class Look(NamedTuple):
    """Everything in which two samples or microscopes differ; defaults are EMPIAR-10094's.

    Factors multiply what HeLa cells show. [phantom] has an option of the same name for each.
    """

    nucleus_size: float = 1.0
    irregularity: float = 1.0
    folds: float = 1.0
    fold_width: float = 1.0
    cytoplasm: float = 1.0
    ragged: float = 1.0
    villi: float = 0.0
    lumps: float = 0.0
    bare_rim_nm: float = 0.0
    organelles: float = 1.0
    debris: float = 1.0
    debris_size: float = 1.0
    nucleus_grey: float = 156.0
    cytoplasm_grey: float = 150.0
    resin_grey: float = 203.0
    mitochondria_grey: float = 128.0
    envelope_nm: float = 77.0
    membranes: float = 1.0
    reticulum: float = 1.0
    lamellae: float = 0.0
    heterochromatin: float = 8.0
    chromatin: float = 1.0
    nucleoli: float = 13.0
    grain: float = 1.0
    contrast: float = 1.0
    noise: float = 1.0
    blur_nm: float = 0.0
    slice_steps: float = 1.0
    charging: float = 1.0
    resin_tone: float = 1.0
    inverted: bool = False

    def transfer(self) -> tuple[float, float]:
        """(gain, shift) from grey levels of the scene to those of the image, before the noise."""
        gain = -self.contrast if self.inverted else self.contrast
        middle = 255.0 - MIDDLE_GREY if self.inverted else MIDDLE_GREY
        return gain, middle - gain * MIDDLE_GREY

    def unlike_hela(self) -> dict[str, float]:
        """What differs from HeLa's, by name."""
        return {
            name: value for name, value in self._asdict().items() if value != getattr(HELA, name)
        }


HELA = Look()

RANGES: Mapping[str, tuple[float, float]] = {
    "nucleus_size": (0.6, 1.1),
    "irregularity": (0.5, 2.2),
    "folds": (0.2, 1.5),
    "fold_width": (0.8, 3.0),
    "cytoplasm": (0.5, 1.2),
    "ragged": (0.6, 1.3),
    "villi": (0.0, 1.0),
    "lumps": (0.0, 1.0),
    "bare_rim_nm": (0.0, 1500.0),
    "organelles": (0.3, 1.2),
    "debris": (0.5, 2.5),
    "debris_size": (0.7, 1.3),
    "nucleus_grey": (140.0, 172.0),
    "cytoplasm_grey": (142.0, 160.0),
    "resin_grey": (178.0, 214.0),
    "mitochondria_grey": (112.0, 150.0),
    "envelope_nm": (60.0, 100.0),
    "membranes": (0.7, 1.5),
    "reticulum": (0.4, 2.0),
    "lamellae": (0.0, 1.0),
    "heterochromatin": (0.0, 20.0),
    "chromatin": (0.3, 1.8),
    "nucleoli": (0.0, 26.0),
    "grain": (0.6, 1.8),
    "contrast": (0.7, 1.2),
    "noise": (0.5, 2.0),
    "blur_nm": (0.0, 80.0),
    "slice_steps": (0.0, 1.5),
    "charging": (0.0, 2.5),
    "resin_tone": (-5.0, 3.0),
}
"""From where to where each number of the varied look is drawn."""


def varied(seed: int) -> Look:
    """A look of its own for every seed; each number is drawn evenly, and independently."""
    rng = np.random.default_rng([seed, 9])
    drawn: dict[str, Any] = {name: float(rng.uniform(*RANGES[name])) for name in sorted(RANGES)}
    return HELA._replace(**drawn)


def look_of(name: str, *, seed: int, given: Mapping[str, Any]) -> Look:
    """The look called `name`, "hela" or "varied", with what is `given` (not None) in its place."""
    chosen = {option: value for option, value in given.items() if value is not None}
    return (varied(seed) if name == "varied" else HELA)._replace(**chosen)

"""Whether matching grey values to those a model learnt from helps, and where it harms.

    python benchmarks/match_greys.py MODEL IMAGE LABELS

MODEL is one that `volproc train` made: its card states the greys. IMAGE is seen as it is, and as a
microscope of another contrast would show it: its greys raised to a power. Dice is that of z alone.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

import volproc
from volproc.model.own_network import own_network

POWERS = (1.0, 0.5, 2.0, 4.0)


def dice(network: Any, predict: Any, image: np.ndarray, truth: np.ndarray, *, match: bool) -> float:
    """Of the planes that are predicted, with all of a stack's around them."""
    constants = network.constants_from(image, match_greys=match)
    height, width = (size // network.stride * network.stride for size in image.shape[1:])
    margin = (network.slices_in - network.slices_out) // 2
    overlap = both = 0
    for start in range(0, len(image) - network.slices_in + 1, network.slices_out):
        planes = torch.from_numpy(image[None, start : start + network.slices_in, :height, :width])
        found = predict(planes, constants, (slice(0, height), slice(0, width)))[0, 0] > 0.5
        first = start + margin
        known = truth[first : first + network.slices_out, :height, :width] > 0
        overlap += 2 * int((found.numpy() & known).sum())
        both += int(found.sum()) + int(known.sum())
    return overlap / both


@torch.inference_mode()
def main() -> None:
    """Print a row for each power: Dice without and with matching."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "image", "labels"):
        ask.add_argument(name)
    given = ask.parse_args()
    network = own_network(given.model)
    predict = network.load("cpu")
    image, truth = (volproc.open_volume(url) for url in (given.image, given.labels))
    greys, known = image.read(image.info.box), truth.read(truth.info.box)
    for power in POWERS:
        seen = (255 * (greys / 255.0) ** power).round().astype(np.uint8)
        plain, matched = (dice(network, predict, seen, known, match=m) for m in (False, True))
        print(f"power {power:g}: Dice {plain:.3f}, matched {matched:.3f}", flush=True)


if __name__ == "__main__":
    main()

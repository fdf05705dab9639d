"""The weights of two models that one training went on from the other, averaged.

    python average.py third fourth nuclei-50nm-clean [--share 0.6]

Each weight is (1 - share) x that of the first model + share x that of the second. A training that
goes on from a model learns its own images better and forgets others; between the two weights lie
networks that do both (Wortsman et al. 2022, Robust fine-tuning of zero-shot models, CVPR,
https://arxiv.org/abs/2109.01903). The card is the second model's, without its scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from volproc.model.weights import load_model, save_model


def averaged(first: str, second: str, out: Path, *, share: float) -> None:
    """Save the average of two models of the same network."""
    (one, _), (other, card) = load_model(first), load_model(second)
    if one.spec != other.spec:
        raise SystemExit(f"{first} and {second} are different networks: {one.spec}, {other.spec}")
    old = one.state_dict()
    for name, new in other.state_dict().items():
        if new.is_floating_point():  # batches are counted in whole numbers
            new.lerp_(old[name], 1 - share)
    save_model(out, other.eval(), card.model_copy(update={"name": out.name, "scores": {}}))


def main() -> None:
    """Average two models."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("first")
    ask.add_argument("second")
    ask.add_argument("out", type=Path)
    ask.add_argument("--share", type=float, default=0.6)
    given = ask.parse_args()
    averaged(given.first, given.second, given.out, share=given.share)


if __name__ == "__main__":
    main()

"""What the card of a model says to those who read its results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from volproc.model.card import Card, int8_costs
from volproc.model.model_folder import load_card
from volproc.model.network import Network
from volproc.model.own_network import Int8UNetNetwork, UNetNetwork


def card_record(network: Network) -> dict[str, str]:
    """By heading, for the provenance of a prediction; nothing of models of others.

    The model's folder is there, also of one that was trained a moment ago.
    """
    if not isinstance(network, UNetNetwork):
        return {}
    card = load_card(network.source)
    quantised = card.int8 if isinstance(network, Int8UNetNetwork) else None
    return ({"Precision": int8_costs(quantised)} if quantised else {}) | _said_by(card)


def _said_by(card: Card) -> dict[str, str]:
    parent = card.parent
    said = {
        "Purpose": card.purpose,
        "Limits": card.limits,
        "Classes": ", ".join(card.classes),
        "Looks along": f"{', '.join(card.axes)}; votes fused by {card.fusion}",
        "Dice on images it did not learn from": "; ".join(_scores(card.validation)),
        "Calibration": "; ".join(_calibration(card)),
        "Other scores": "; ".join(f"{what}: {score:.3g}" for what, score in card.scores.items()),
        "Learnt from": "; ".join(f"{one.name} ({one.terms})" for one in card.trained_on),
        "Trained on from": f"{parent.name}: {', '.join(parent.changed)}" if parent else "",
        "Terms": card.licence,
        "Notes": card.notes,
    }
    return {heading: text for heading, text in said.items() if text}


def _scores(validation: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    for name, scores in validation.items():
        yield f"{name} {', '.join(f'{how} {dice:.3f}' for how, dice in scores.items())}"


def _calibration(card: Card) -> Iterator[str]:
    for name, found in card.calibration.items():
        yield (
            f"{name}: expected error {found.ece_after:.3g}, {found.ece_before:.3g} before its "
            f"temperature of {found.temperature:.3g}"
        )

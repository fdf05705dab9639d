"""Whether a model folder is what its card says: weights, how far it sees, predictions of tiles."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from volproc.errors import ModelError
from volproc.model.card import Card
from volproc.model.int8.layers import load_layers
from volproc.model.int8.requirements import require_int8
from volproc.model.measured_halo import measured_halo
from volproc.model.model_folder import model_folder
from volproc.model.normalisation import Normalisation
from volproc.model.predictor import Predictor
from volproc.model.weights import PlaneNetwork, load_model
from volproc.retry import patient

CORE = 4
"""Strides of a side of the tile that is compared with the whole plane."""
ROUNDING = 1e-4
"""By which probabilities may differ: sums of other sizes run in another order."""
GREY = Normalisation(128.0, 50.0)


@dataclass(frozen=True)
class ModelFinding:
    """What is wrong with a model, or what its card leaves out."""

    wrong: bool
    """False where users may live with it."""
    what: str

    def __str__(self) -> str:
        return f"{'error' if self.wrong else 'note'}: {self.what}"


@patient
def check_model(name: str) -> tuple[ModelFinding, ...]:
    """What is wrong with the model of that folder, URL or shipped name; errors first."""
    try:
        network, card = load_model(model_folder(name))
        if card.int8:
            load_layers(model_folder(name), require_int8(card.spec, card.name), card.int8.sha256)
    except ModelError as error:
        return (ModelFinding(True, str(error)),)
    found = (*_seeing(network, card), *_tiles(network, card), *_left_out(card))
    return tuple(sorted(found, key=lambda one: not one.wrong))


def _seeing(network: PlaneNetwork, card: Card) -> Iterator[ModelFinding]:
    """The halo by perturbation, beside what follows from the layers."""
    try:
        halo = measured_halo(network, name=card.name)
    except ModelError as error:
        yield ModelFinding(True, str(error))
        return
    if halo is None or halo > card.spec.halo:
        yield ModelFinding(
            True,
            f"its output depends on {'all' if halo is None else halo} pixels around a tile, of its "
            f"layers follow {card.spec.halo}: tiles would show",
        )
    elif card.measured_halo not in (None, halo):
        yield ModelFinding(True, f"measured_halo is {card.measured_halo} on the card, {halo} here")


@torch.inference_mode()
def _tiles(network: PlaneNetwork, card: Card) -> Iterator[ModelFinding]:
    """Whether a tile with its halo is predicted as in the whole plane."""
    spec, step = card.spec, card.stride
    side, start = 2 * (spec.halo + step) + CORE * step, spec.halo + step
    chance = torch.Generator().manual_seed(0)
    planes = torch.randint(0, 256, (1, spec.slices_in, side, side), generator=chance)
    predict = Predictor(copy.deepcopy(network), "cpu", temperatures=card.temperatures)
    tile, core = (slice(start - n, start + CORE * step + n) for n in (spec.halo, 0))
    inner = (slice(spec.halo, spec.halo + CORE * step),) * 2
    whole = predict(planes.byte(), GREY, (core, core))
    apart = float((predict(planes[..., tile, tile].byte(), GREY, inner) - whole).abs().max())
    if apart > ROUNDING:
        yield ModelFinding(True, f"a tile differs from the whole plane by {apart:.2g}")


def _left_out(card: Card) -> Iterator[ModelFinding]:
    for missing, what in (
        (not card.trained_on, "trained_on: the data it learnt from, and their terms"),
        (not card.licence, "licence: under which terms it may be used"),
        (not card.purpose, "purpose: what it is for"),
        (not card.limits, "limits: where it fails"),
        (not (card.validation or card.scores), "scores"),
        (not card.calibration, "calibration: what its probabilities are worth"),
        (not card.grey_quantiles, "grey_quantiles: the greys it learnt from (match_greys)"),
    ):
        if missing:
            yield ModelFinding(False, f"the card does not state {what}")

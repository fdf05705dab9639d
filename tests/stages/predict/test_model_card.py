"""What a prediction takes from its model's card, and says of it."""

import numpy as np
import pytest
from tests.two_classes import save_two_classes

from volproc.errors import ModelError
from volproc.model.card import Calibration, Parent, TrainedOn
from volproc.model.resolver import open_network
from volproc.model.weights import load_model, save_model
from volproc.stages import predict as stage
from volproc.stages.predict import PredictOptions
from volproc.stages.predict.model_card import card_record


@pytest.fixture
def with_card(tiny_model, tmp_path):
    """with_card(...): the tiny model with more in its card."""

    def make(**more):
        network, card = load_model(tiny_model)
        save_model(tmp_path / "model", network, card.model_copy(update=more))
        return str(tmp_path / "model")

    return make


def test_matched_greys_forget_the_contrast(save_volume, predict, tmp_path):
    quantiles = tuple(np.linspace(-3, 3, 33).tolist())
    model = str(save_two_classes(tmp_path / "model", grey_quantiles=quantiles))
    values = np.random.default_rng(1).integers(40, 220, (12, 24, 24), np.uint8)
    image = save_volume("image.zarr", values)
    bent = save_volume("bent.zarr", values.astype(np.uint16) ** 2 + 900)

    def apart(**how):
        found = [
            predict(one, f"{name}-{how}", model=model, votes=False, **how)[1][...]
            for name, one in (("image", image), ("bent", bent))
        ]
        return np.abs(found[0].astype(int) - found[1]).mean()

    assert 10 * apart(match_greys=True) < apart()


def test_greys_that_no_card_states_are_refused_by_the_plan(small, predict):
    with pytest.raises(ModelError, match="states no grey_quantiles"):
        predict(small, match_greys=True, plan_only=True)


def test_recipes_without_matched_greys_stay_as_they_were(small, predict, with_card):
    model = with_card(grey_quantiles=(-1.0, 0.0, 1.0))
    plain, matched = (
        predict(small, model=model, match_greys=on, plan_only=True) for on in (False, True)
    )
    assert "match_greys" not in plain.recipe.options
    assert plain.digest != matched.digest


def test_a_prediction_says_what_its_models_card_says(small, predict, with_card):
    model = with_card(
        purpose="nuclei of anything",
        limits="no plants",
        licence="CC0-1.0",
        axes="z",
        validation={"nucleus": {"z": 0.9}},
        calibration={"nucleus": Calibration(temperature=1.5, ece_before=0.1, ece_after=0.02)},
        trained_on=(TrainedOn(name="cells", terms="CC BY 4.0"),),
        parent=Parent(name="older", weights_sha256="ab", changed=("classes",)),
    )
    _, made = predict(small, model=model, votes=False)
    assert made.info.provenance["model_card"] == {
        "Purpose": "nuclei of anything",
        "Limits": "no plants",
        "Classes": "nucleus",
        "Looks along": "z; votes fused by mean",
        "Dice on images it did not learn from": "nucleus z 0.900",
        "Calibration": "nucleus: expected error 0.02, 0.1 before its temperature of 1.5",
        "Learnt from": "cells (CC BY 4.0)",
        "Trained on from": "older: classes",
        "Terms": "CC0-1.0",
    }
    lines = list(stage.STAGE.lines(made, {"predict": PredictOptions()}))
    assert "its model is for: nuclei of anything" in lines


def test_a_card_that_says_nothing_more_brings_no_line(tiny_model):
    assert card_record(open_network(str(tiny_model))) == {
        "Classes": "nucleus",
        "Looks along": "z, y, x; votes fused by mean",
    }

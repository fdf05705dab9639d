"""The card: what it states beside its network, and that old cards say what they always said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from volproc.errors import ModelError
from volproc.model.card import Calibration, Card, Parent, card_for
from volproc.model.model_folder import CARD, load_card, model_folder
from volproc.model.normalisation import MatchedGreys, Normalisation
from volproc.model.own_network import described, own_network
from volproc.model.predictor import Predictor
from volproc.model.resolver import open_network
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import save_model

SPEC = UNetSpec(3, 1, (2, 3), classes=2)
HOT = Calibration(temperature=2.0, ece_before=0.1, ece_after=0.02, curve=((0.1, 0.2), (0.9, 0.7)))


def card(**more: Any) -> Card:
    given = {"name": "two", "voxel_nm": (50, 50, 50), "classes": ("nucleus", "er"), **more}
    return card_for(SPEC, **given)


def test_everything_on_a_card_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = card(
        axes="z",
        fusion="weighted",
        purpose="nuclei and ER of HeLa cells",
        limits="not tried on tissue",
        grey_quantiles=(-2.0, 0.0, 2.0),
        measured_halo=4,
        parent=Parent(name="nuclei-50nm", weights_sha256="ab", changed=("50 nm -> 20 nm",)),
        validation={"er": {"z": 0.8, "mean": 0.85}},
        calibration={"er": HOT},
    )
    saved = save_model(tmp_path / "m", UNet(SPEC), made)
    assert load_card(tmp_path / "m") == saved
    network = own_network(tmp_path / "m")
    assert (network.classes, network.axes, network.fusion) == (("nucleus", "er"), "z", "weighted")
    assert saved.temperatures == (1.0, 2.0)


def test_a_card_of_the_first_format_says_what_it_always_said() -> None:
    folder = model_folder("nuclei-50nm")
    old = load_card(folder)
    assert old.format == "volproc-unet-1"
    assert old.digest == old.weights_sha256
    network = open_network("nuclei-50nm")
    assert (network.axes, network.fusion, network.classes) == ("zyx", "mean", ("nucleus",))
    written = json.loads((folder / CARD).read_text())
    read = old.model_dump(mode="json")
    spec = written.pop("spec")
    assert {key: read[key] for key in written} == written
    assert {key: read["spec"][key] for key in spec} == spec


def test_the_digest_names_all_that_changes_predictions() -> None:
    plain = card(weights_sha256="ab")
    changed = {
        plain.digest,
        card(weights_sha256="cd").digest,
        card(weights_sha256="ab", calibration={"er": HOT}).digest,
        card(weights_sha256="ab", grey_quantiles=(-1.0, 1.0)).digest,
    }
    assert len(changed) == 4
    assert card(weights_sha256="ab", limits="none", notes="new").digest == plain.digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["nucleus"]}, "classes are nucleus, the network predicts 2; give each a name"),
        ({"classes": ["er", "er"]}, "classes are er, er, the network predicts 2"),
        ({"validation": {"golgi": {"z": 1}}}, "is of 'golgi', the classes are nucleus, er"),
        ({"axes": "zq"}, "axes: Input should be 'z'"),
        ({"format": "volproc-model-9"}, "has format 'volproc-model-9', this .* update volproc"),
        ({"format": "volproc-model-9", "aura": 1}, "a later one wrote it; update volproc"),
    ],
)
def test_cards_that_contradict_themselves_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    save_model(tmp_path / "m", UNet(SPEC), card())
    path = tmp_path / "m" / CARD
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ModelError, match=message) as refused:
        load_card(tmp_path / "m")
    assert "\n" not in str(refused.value)


def test_probabilities_are_calibrated_class_by_class(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_model(tmp_path / "plain", UNet(SPEC), card())
    torch.manual_seed(0)
    save_model(tmp_path / "hot", UNet(SPEC), card(calibration={"er": HOT}))
    planes = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
    whole = (slice(0, 16), slice(0, 16))
    with torch.inference_mode():
        plain, hot = (
            own_network(tmp_path / name).load("cpu")(planes, Normalisation(100, 40), whole)
            for name in ("plain", "hot")
        )
    assert plain.shape == (1, 2, 1, 16, 16)
    assert torch.equal(plain[:, 0], hot[:, 0])
    torch.testing.assert_close(hot[:, 1], torch.sigmoid(plain[:, 1].logit() / 2))


def test_a_calibration_written_after_the_plan_is_noticed(tmp_path: Path) -> None:
    save_model(tmp_path / "m", network := UNet(SPEC), card())
    planned = own_network(tmp_path / "m")
    save_model(tmp_path / "m", network, card(calibration={"er": HOT}))
    with pytest.raises(ModelError, match="changed after the run was planned"):
        planned.load("cpu")


def test_greys_are_matched_to_those_of_the_card_or_refused() -> None:
    import numpy as np

    sample = np.random.default_rng(0).integers(60, 200, (4, 20, 20)).astype(np.uint8)
    knowing = described(card(grey_quantiles=(-2.0, -1.0, 0.0, 1.0, 2.0)), "nowhere")
    assert isinstance(knowing.constants_from(sample, match_greys=True), MatchedGreys)
    assert isinstance(knowing.constants_from(sample), Normalisation)
    with pytest.raises(ModelError, match="card of two states no grey_quantiles"):
        described(card(), "nowhere").constants_from(sample, match_greys=True)


def test_a_predictor_needs_no_temperatures() -> None:
    planes = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
    with torch.inference_mode():
        assert Predictor(UNet(SPEC).eval(), "cpu")(planes, Normalisation(0, 1)).shape[1] == 2


def test_a_shipped_model_is_known_by_its_name() -> None:
    assert load_card("nuclei-50nm").name == "nuclei-50nm"

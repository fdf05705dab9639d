"""What is wrong with a model is found: by its digest, its weights, what it sees, and its tiles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from volproc.model.checking import check_model
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.measured_halo import measured_halo
from volproc.model.model_folder import CARD, WEIGHTS
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import network_of

SPECS = [
    UNetSpec(2, 2, (2, 3), stem=2),
    UNetSpec(2, 2, (2, 3, 4), stem=1, block="separable"),
    UNetSpec(3, 1, (2, 3), stem=2, block="residual", skips="add", convs_up=2, classes=2),
    EtchACellSpec(3, 1, 2, levels=3),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_halo_that_is_measured_is_that_of_the_layers(spec: UNetSpec | EtchACellSpec) -> None:
    torch.manual_seed(0)
    assert measured_halo(network_of(spec), name="random") == spec.halo


def test_a_network_that_looks_at_its_tile_has_no_halo() -> None:
    network = UNet(SPECS[0])
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.track_running_stats, part.running_mean, part.running_var = False, None, None
    assert measured_halo(network, name="whole tile") is None


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def wrong(folder: Path) -> list[str]:
    return [one.what for one in check_model(str(folder)) if one.wrong]


def test_a_model_that_is_whole_has_notes_at_most(model: Path) -> None:
    found = check_model(str(model))
    assert not any(one.wrong for one in found)
    assert any("licence" in str(one) for one in found)


def test_damage_is_named(model: Path) -> None:
    data = bytearray((model / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (model / WEIGHTS).write_bytes(data)
    (said,) = wrong(model)
    assert "SHA-256 differs" in said


def test_weights_that_are_no_numbers_are_named(model: Path) -> None:
    import hashlib

    tensors = load_file(model / WEIGHTS)
    tensors["head.bias"][0] = float("nan")
    save_file(tensors, model / WEIGHTS)
    digest = hashlib.sha256((model / WEIGHTS).read_bytes()).hexdigest()
    card = json.loads((model / CARD).read_text()) | {"weights_sha256": digest}
    (model / CARD).write_text(json.dumps(card))
    assert "NaN" in wrong(model)[0]


def test_a_card_that_claims_another_measurement_is_named(model: Path) -> None:
    card = json.loads((model / CARD).read_text()) | {"measured_halo": 4}
    (model / CARD).write_text(json.dumps(card))
    assert wrong(model) == ["measured_halo is 4 on the card, 16 here"]


def test_a_network_that_sees_further_than_its_layers_say_is_named(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UNetSpec, "halo", property(lambda spec: spec.stride))
    said = wrong(model)
    assert any("pixels around a tile, of its layers follow 4: tiles would show" in o for o in said)
    assert any("a tile differs from the whole plane by" in one for one in said)


def test_a_model_that_is_not_there_is_one_finding(tmp_path: Path) -> None:
    assert "neither a folder nor shipped" in wrong(tmp_path / "none")[0]

"""Model folders: what is saved comes back bit by bit, and what does not fit is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch
from safetensors.torch import load_file, save_file

from volproc.errors import ModelError
from volproc.model.model_folder import CARD, WEIGHTS, load_card, model_folder
from volproc.model.resolver import open_network
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import TrainedOn, card_for, load_model, save_model

SPEC = UNetSpec(3, 1, (2, 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved model of a tiny network."""
    torch.manual_seed(1)
    card = card_for(
        SPEC,
        name="tiny",
        voxel_nm=(50, 50, 50),
        trained_on=(TrainedOn(name="nothing", terms="none"),),
        scores={"Dice, made up": 0.5},
    )
    save_model(tmp_path / "tiny", UNet(SPEC), card)
    return tmp_path / "tiny"


def rewrite_card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **changes}))


def rewrite_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    """Change tensors (None removes one) and let the card vouch for the file."""
    import hashlib

    tensors: dict[str, Any] = {**load_file(folder / WEIGHTS), **changes}
    save_file({k: v for k, v in tensors.items() if v is not None}, folder / WEIGHTS)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    rewrite_card(folder, weights_sha256=digest)


def test_a_model_comes_back_bit_by_bit(folder: Path) -> None:
    torch.manual_seed(1)
    before = UNet(SPEC)
    after, card = load_model(folder)
    assert not after.training
    for name, value in before.state_dict().items():
        assert torch.equal(value, after.state_dict()[name]), name
    assert card == load_card(folder)
    assert (card.spec, card.reach, card.stride) == (SPEC, SPEC.reach, SPEC.stride)
    assert card.trained_on[0].terms == "none"


def test_saving_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    module, card = load_model(folder)
    save_model(tmp_path / "again", module, card)
    for name in (WEIGHTS, CARD):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_network_that_is_not_the_cards_is_not_saved(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the card of tiny describes"):
        save_model(tmp_path / "new", UNet(UNetSpec(1, 1, (2,))), load_card(folder))
    assert not (tmp_path / "new").exists()


def test_nan_weights_are_neither_saved_nor_loaded(folder: Path, tmp_path: Path) -> None:
    module, card = load_model(folder)
    with torch.no_grad():
        module.head.bias.fill_(math.nan)
    with pytest.raises(ModelError, match=r"head\.bias.*NaN"):
        save_model(tmp_path / "new", module, card)
    rewrite_weights(folder, **{"head.bias": module.head.bias.detach()})
    with pytest.raises(ModelError, match=r"weights\.safetensors.*head\.bias.*NaN.*train again"):
        load_model(folder)


def test_changed_weights_are_refused(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(ModelError, match=r"weights\.safetensors.*SHA-256 differs.*copy"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"head.bias": torch.zeros(3)},
            r"head\.bias' has shape \(3,\), the card's network needs \(4,\)",
        ),
        ({"head.bias": None}, r"lacks tensor 'head\.bias'"),
        ({"extra": torch.zeros(1)}, "has the unknown tensor 'extra'"),
        ({"head.bias": torch.zeros(4, dtype=torch.int8)}, r"head\.bias' is of torch\.int8, the"),
    ],
)
def test_weights_of_another_network_are_refused(
    folder: Path, changes: dict[str, torch.Tensor | None], message: str
) -> None:
    rewrite_weights(folder, **changes)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_a_card_of_a_network_larger_than_any_memory_makes_none(folder: Path) -> None:
    """The shapes are compared before anything is made of them."""
    spec = json.loads((folder / CARD).read_text())["spec"]
    spec["widths"] = [4096] * len(spec["widths"])
    rewrite_card(folder, spec=spec)
    with pytest.raises(ModelError, match=r"has shape .*the card's network needs \(4096,"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, r"card\.json.*colour"),
        ({"voxel_nm": [50, 50, 0]}, r"card\.json.*voxel_nm\.2.*greater than 0"),
        ({"reach": 3}, "its network has"),
        ({"format": "volproc-unet-9"}, r"card\.json.*format"),
        ({"spec": {"slices_in": 4, "slices_out": 3}}, "3 slices out cannot be the centre"),
    ],
)
def test_cards_that_do_not_fit_are_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    rewrite_card(folder, **changes)
    with pytest.raises(ModelError, match=message):
        load_card(folder)


def test_weights_that_are_not_safetensors_are_refused(folder: Path) -> None:
    import hashlib

    (folder / WEIGHTS).write_bytes(b"not a tensor")
    rewrite_card(folder, weights_sha256=hashlib.sha256(b"not a tensor").hexdigest())
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_model(folder)


@pytest.mark.parametrize("missing", [WEIGHTS, CARD])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=rf"cannot read .*{missing}.*a model is a folder with"):
        load_model(folder)


def test_names_are_shipped_models_or_paths(folder: Path) -> None:
    assert model_folder(str(folder)) == folder
    assert (model_folder("nuclei-50nm") / CARD).is_file()
    known = r"no model 'nuclei-7nm'.*shipped: membranes-10nm, nuclei-100nm, nuclei-50nm"
    with pytest.raises(ModelError, match=known):
        model_folder("nuclei-7nm")


@pytest.mark.parametrize(
    ("name", "nm"), [("nuclei-50nm", 50), ("nuclei-100nm", 100), ("membranes-10nm", 10)]
)
def test_the_shipped_models_are_whole_and_small(name: str, nm: int) -> None:
    folder = model_folder(name)
    module, card = load_model(folder)
    assert (folder / WEIGHTS).stat().st_size < 10e6
    assert card.voxel_nm == (nm, nm, nm)
    assert card.purpose
    assert card.limits
    assert card.trained_on
    assert all(entry.terms for entry in card.trained_on)
    planes = torch.zeros(1, card.slices_in, 2 * card.stride, 2 * card.stride)
    assert bool(torch.isfinite(module(planes)).all())


def test_a_model_at_a_url_is_the_same_network(folder: Path) -> None:
    url = f"memory://{uuid4().hex}/tiny"
    module, card = load_model(folder)
    assert save_model(url, module, card) == card
    after, again = load_model(url)
    assert again == card
    states = module.state_dict(), after.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    here, there = open_network(str(folder)), open_network(f"{url}/")
    assert replace(there, source=here.source) == here


def test_others_models_at_a_url_are_refused() -> None:
    said = r"cannot read memory://none/model.zip/card.json: .*the only kind that is read at a URL"
    with pytest.raises(ModelError, match=said):
        open_network("memory://none/model.zip")


def test_a_training_that_is_not_finished_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "net" / "training").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"net is a training that is not finished; .*goes on"):
        open_network(str(tmp_path / "net"))

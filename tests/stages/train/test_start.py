"""Going on from another model: what is taken from it, what is said, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from volproc import TrainOptions
from volproc.errors import ModelError
from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.model_folder import load_card, model_folder
from volproc.model.resolver import open_network
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import card_for, load_model, save_model
from volproc.stages.train.network_choice import FEW, completed
from volproc.stages.train.stage import plan_train, run_training
from volproc.stages.train.training_sources import sources_of

SMALL = {"patch": 16, "batch": 2, "steps": 2, "device": "cpu"}


class Killed(Exception):
    """Stands for a signal."""


@pytest.fixture
def volumes(save_volume) -> dict[str, Any]:
    """A bright ball at 50 nm."""
    z, y, x = np.ogrid[:16, :20, :20]
    ball = (z - 8) ** 2 + (y - 10) ** 2 + (x - 10) ** 2 < 36
    image = (100 + 60 * ball + (3 * z + y + x) % 11).astype(np.uint8)
    return {
        "images": (save_volume("image.zarr", image).info.url,),
        "labels": (save_volume("ball.zarr", ball.astype(np.uint16), kind="labels").info.url,),
    }


def plan(volumes: dict[str, Any], out: Path, **more: Any) -> Any:
    options = TrainOptions(**{**volumes, **SMALL, "model_out": str(out), **more})
    return plan_train(sources_of(options), options)


def trained(volumes: dict[str, Any], out: Path, **more: Any) -> Any:
    run_training(plan(volumes, out, **more))
    return load_model(out)


def states_differ(one: Any, other: Any) -> set[str]:
    states = one.state_dict(), other.state_dict()
    return {name.split(".")[0] for name in states[0] if (states[0][name] != states[1][name]).any()}


def test_the_network_and_voxel_size_are_those_of_the_model_started_from(
    volumes: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    network, card = trained(volumes, tmp_path / "m", start_from=str(tiny_model))
    before, parent = load_model(tiny_model)
    assert card.spec == parent.spec
    assert card.voxel_nm == parent.voxel_nm
    assert card.parent is not None
    assert (card.parent.name, card.parent.weights_sha256) == ("tiny", parent.weights_sha256)
    assert card.parent.changed == ()
    assert states_differ(network, before) == {"down", "lift", "up", "head"}


def test_another_voxel_size_and_other_classes_are_said_and_on_the_card(
    volumes: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    more = {"start_from": str(tiny_model), "voxel_nm": 100, "classes": ["vesicle"]}
    wanted = (
        "voxel size: 100 x 100 x 100 nm, tiny learnt at 50 x 50 x 50 nm",
        "classes that begin with random weights: vesicle",
        "classes of tiny that are dropped: nucleus",
        "frozen, as tiny has it: encoder",
    )
    made = plan(volumes, tmp_path / "m", freeze="encoder", **more)
    assert made.notes[:4] == wanted
    network, card = trained(volumes, tmp_path / "m", freeze="encoder", **more)
    assert card.parent.changed == wanted
    assert states_differ(network, load_model(tiny_model)[0]) == {"lift", "up", "head"}


def test_another_parent_is_another_training(
    volumes: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    network, card = load_model(tiny_model)
    network.head.bias.data += 1
    save_model(tmp_path / "other", network, card)
    digests = {
        plan(volumes, tmp_path / "m", **more).digest
        for more in (
            {"start_from": str(tiny_model)},
            {"start_from": str(tmp_path / "other")},
            {"start_from": str(tiny_model), "freeze": "body"},
        )
    }
    assert len(digests) == 3


def test_the_published_network_is_trained_and_resumed_to_the_same_weights(
    volumes: dict[str, Any], tmp_path: Path
) -> None:
    more = {"network": "etchacell", "towers": 2, "levels": 3, "slices_in": 6, "slices_out": 4}
    more |= {"steps": 4, "checkpoint_steps": 2}
    network, card = trained(volumes, tmp_path / "whole", **more)
    assert card.spec == EtchACellSpec(6, 4, 2, levels=3)

    def kill(event: Any) -> None:
        if event.step == 3:
            raise Killed

    torch.manual_seed(99)
    with pytest.raises(Killed):
        run_training(plan(volumes, tmp_path / "cut", **more), watch=kill)
    again, _ = trained(volumes, tmp_path / "cut", **more)
    assert states_differ(network, again) == set()
    assert open_network(str(tmp_path / "cut")).halo == card.spec.halo


def test_a_trained_card_states_what_was_measured(volumes: dict[str, Any], tmp_path: Path) -> None:
    small = {"widths": (3, 4), "slices_in": 4, "slices_out": 2}
    more = {**small, "purpose": "balls", "limits": "all else"}
    network, card = trained(volumes, tmp_path / "m", **more)
    assert (card.purpose, card.limits) == ("balls", "all else")
    assert card.measured_halo is not None
    assert 0 < card.measured_halo <= card.spec.halo
    assert len(card.grey_quantiles) == 65
    assert list(card.grey_quantiles) == sorted(card.grey_quantiles)
    assert network.spec == UNetSpec(4, 2, (3, 4), skips="add")


def test_few_slices_go_on_from_a_shipped_model_unless_options_say_otherwise() -> None:
    found = completed(TrainOptions(few=True, steps=7))
    assert found.start_from == "nuclei-50nm"
    assert found.steps == 7
    assert (found.learning_rate, found.freeze) == (FEW["learning_rate"], "nothing")
    assert found.widths == load_card(model_folder("nuclei-50nm")).spec.widths
    assert completed(found) == found


def test_the_parts_of_few_are_the_same_training(
    volumes: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    small = {"start_from": str(tiny_model)}
    few = plan(volumes, tmp_path / "m", few=True, **small)
    spelt = plan(volumes, tmp_path / "m", **{**FEW, **SMALL, **small})
    assert few.digest == spelt.digest


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"start_from": "net.pt"}, r"'net.pt' looks like a pickle, which may run anything"),
        ({"start_from": "net.hdf5"}, r"a file of Keras: .* `volproc models import-keras`"),
        ({"start_from": "nowhere"}, r"no model 'nowhere': neither a folder nor shipped"),
        ({"freeze": "encoder"}, r"freeze = 'encoder' keeps what a model has learnt; name one as"),
        ({"start_from": "nuclei-50nm", "widths": (4, 8)}, r"leave out the options of the network"),
        (
            {"start_from": "nuclei-50nm", "network": "etchacell"},
            r"the options describe a EtchACell",
        ),
    ],
)
def test_what_cannot_be_started_from_is_refused_in_a_line(
    volumes: dict[str, Any], tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as refused:
        plan(volumes, tmp_path / "m", **more)
    assert "\n" not in str(refused.value)


def test_weights_that_are_no_longer_a_models_are_refused_before_anything_is_written(
    volumes: dict[str, Any], tmp_path: Path
) -> None:
    """A pickle under their name, say, which is not read at all."""
    trained(volumes, tmp_path / "first")
    (tmp_path / "first" / "weights.safetensors").write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(ModelError, match=r"weights\.safetensors is not the file its card was wri"):
        trained(volumes, tmp_path / "m", start_from=str(tmp_path / "first"))
    assert not (tmp_path / "m").exists()


def test_the_published_network_may_be_started_from(volumes: dict[str, Any], tmp_path: Path) -> None:
    spec = EtchACellSpec(6, 4, 2, levels=3)
    torch.manual_seed(0)
    save_model(tmp_path / "p", EtchACell(spec), card_for(spec, name="p", voxel_nm=(50, 50, 50)))
    _, card = trained(volumes, tmp_path / "m", start_from=str(tmp_path / "p"), freeze="body")
    assert card.spec == spec

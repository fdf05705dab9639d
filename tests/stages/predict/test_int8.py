"""[predict] precision = "int8": the laws of float32 hold, and what cannot be is said in a line."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from tests.model.int8.exact import CONSTANTS, noise
from tests.stages.predict.test_stage import BLOCKS, image, predicted  # noqa: F401 - a fixture

from volproc.errors import ConfigError, ModelError
from volproc.model import own_network
from volproc.model.card import Int8
from volproc.model.int8.layers import save_layers
from volproc.model.int8.quantising import quantise
from volproc.model.own_network import in_int8
from volproc.model.resolver import open_network
from volproc.model.weights import load_model, save_int8, save_model


@pytest.fixture(scope="module")
def int8_model(tiny_model, tmp_path_factory):
    import hashlib

    folder = tmp_path_factory.mktemp("int8") / "tiny"
    network, card = load_model(tiny_model)
    planes = noise(1, 6, 64, 64, seed=9)
    data = save_layers(quantise(network, [(planes, CONSTANTS)], name="tiny"))
    sha256 = hashlib.sha256(data).hexdigest()
    costs = {"largest_difference": 0.1, "mean_difference": 1e-3, "changed_sides": 1e-4}
    made = Int8(sha256=sha256, steps_from=("noise",), **costs)
    save_int8(folder, tiny_model, data, card.model_copy(update={"int8": made}))
    return folder


def has_openvino():
    if find_spec("openvino") is None:
        pytest.skip("openvino is not installed (pip install volproc[int8])")


def test_blocks_never_change_the_votes(image, int8_model, runner):  # noqa: F811
    """Bit by bit; nor do tiles, as all sums are of whole numbers."""
    has_openvino()
    wanted, wanted_votes = predicted(image, int8_model, runner, precision="int8")
    assert wanted_votes.std() > 5
    for n, block in enumerate(BLOCKS):
        found, votes = predicted(
            image, int8_model, runner, f"blocks-{n}", block=block, precision="int8"
        )
        assert np.array_equal(votes, wanted_votes)
        assert np.array_equal(found, wanted)
    for n, tile in enumerate([(16, 16, 16), (8, 24, 32), (20, 36, 36)]):
        _, votes = predicted(image, int8_model, runner, f"tiles-{n}", tile=tile, precision="int8")
        assert np.array_equal(votes, wanted_votes)


@pytest.mark.dask
def test_workers_find_what_one_process_finds(image, int8_model, runner, dask_runner):  # noqa: F811
    has_openvino()
    _, wanted = predicted(image, int8_model, runner, precision="int8")
    _, votes = predicted(image, int8_model, dask_runner, "dask", block=BLOCKS[0], precision="int8")
    assert np.array_equal(votes, wanted)


def test_votes_are_near_those_of_float32(image, int8_model, runner):  # noqa: F811
    has_openvino()
    _, wanted = predicted(image, int8_model, runner)
    _, found = predicted(image, int8_model, runner, "int8", precision="int8")
    apart = np.abs(found.astype(int) - wanted)
    assert 0 < apart.mean() < 0.1 * wanted.std()


def test_a_plan_and_its_result_say_so(small, predict, int8_model):
    has_openvino()
    floats = predict(small, plan_only=True, model=str(int8_model))
    plan, made = predict(small, model=str(int8_model), precision="int8")
    assert any("runs in int8" in note for note in plan.steps[0].notes)
    assert plan.digest != floats.digest
    assert plan.recipe.record()["options"]["precision"] == "int8"
    assert "precision" not in floats.recipe.record()["options"]
    assert "100 of a million voxels change sides" in made.info.provenance["model_card"]["Precision"]


def test_float32_does_not_ask_for_quantised_weights(int8_model):
    """Nor does a recipe of float32 change when a model is quantised."""
    quantised, card = open_network(str(int8_model)), load_model(int8_model)[1]
    assert quantised.digest == card.weights_sha256


def test_what_cannot_run_in_int8_is_refused(
    small, predict, tiny_model, small_etchacell, monkeypatch
):
    def plan(**more):
        return predict(small, plan_only=True, precision="int8", **more)

    with pytest.raises(
        ModelError, match=r"tiny has no quantised weights; .*models quantise .*tiny"
    ):
        plan(model=str(tiny_model))
    with pytest.raises(ModelError, match=r"cannot be quantised: int8 is for volproc's U-Nets"):
        plan(model=str(small_etchacell))
    with pytest.raises(ConfigError, match=r"run by OpenVINO, .* leave compiled out"):
        plan(model=str(tiny_model), compiled=True)
    monkeypatch.setattr("volproc.stages.predict.stage.device_for", lambda _: "cuda")
    with pytest.raises(ConfigError, match=r'"int8" is for CPUs.* use device = "cpu"'):
        plan(model=str(tiny_model))


def test_without_openvino_the_way_to_install_it_is_named(small, predict, int8_model, monkeypatch):
    monkeypatch.setattr("volproc.model.int8.requirements.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"int8 needs openvino: pip install '.\[int8\]' in"):
        predict(small, plan_only=True, model=str(int8_model), precision="int8")


def test_weights_that_changed_since_the_plan_are_not_used(int8_model, monkeypatch):
    monkeypatch.setattr(own_network, "require_openvino", lambda: None)
    planned = in_int8(open_network(str(int8_model)))
    with pytest.raises(ModelError, match="changed after the run was planned"):
        replace(planned, digest="other").load("cpu")
    with pytest.raises(ModelError, match=r'is for CPUs; use \[predict\] device = "cpu"'):
        planned.load("cuda")


def test_weights_that_are_trained_again_have_no_quantised_ones(int8_model, tmp_path):
    """`save_model` writes what the training made; a card that states int8 would be of others."""
    network, card = load_model(int8_model)
    made = save_model(tmp_path / "again", network, card)
    assert made.int8 is None
    with pytest.raises(ModelError, match="no quantised weights"):
        in_int8(open_network(str(tmp_path / "again")))

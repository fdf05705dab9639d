"""A network of several classes: every class is what it is alone, in every volume that is made."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from volproc.errors import ConfigError
from volproc.fusion import fuse
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import card_for, load_model, save_model
from volproc.volume.channels import one_class, votes_of_class
from volproc.volume.file_io import sibling
from volproc.volume.store import Volume, open_volume

CLASSES = ("mitochondrion", "er")
FULL = {"agreement": True, "disagreement": True, "regions_um": (0.5, 0.5, 0.5), "image_grid": True}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A tiny network of two classes."""
    torch.manual_seed(5)
    spec = UNetSpec(slices_in=6, slices_out=4, widths=(6, 8), stem=2, classes=2)
    network = UNet(spec).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(part.weight, 0.5, 2)
    folder = tmp_path_factory.mktemp("model") / "two"
    save_model(folder, network, card_for(spec, name="two", voxel_nm=(50, 50, 50), classes=CLASSES))
    return folder


def made(volume):
    return volume.read(volume.info.box)


def beside(plan, ending, of="output"):
    return open_volume(sibling(getattr(plan, of).url, ending))


def test_each_class_is_a_channel_and_what_it_is_alone(small, predict, two):
    plan, both = predict(small, "both", model=str(two), **FULL)
    whole, votes = open_volume(both.info.url), open_volume(plan.votes.url)
    assert whole.info.channels == CLASSES
    assert votes.info.channels == tuple(f"{name} {axis}" for name in CLASSES for axis in "xyz")
    for name in CLASSES:
        alone, one = predict(small, name, model=str(two), classes=(name,), **FULL)
        assert one.info.channels == ()
        assert np.array_equal(made(whole.channel(name)), made(one))
        mine = Volume(votes_of_class(votes.info, name, option="class"))
        assert mine.info.channels == ("x", "y", "z")
        assert np.array_equal(made(mine), made(open_volume(alone.votes.url)))
        for ending, of in (
            ("-native.zarr", "output"),
            ("-agreement.zarr", "votes"),
            ("-disagreement.zarr", "votes"),
        ):
            picked = beside(plan, ending, of).channel(name)
            assert np.array_equal(made(picked), made(beside(alone, ending, of)))
    assert not np.array_equal(*made(whole))


def test_a_class_has_the_probabilities_of_a_network_with_its_outputs_alone(
    small, predict, two, tmp_path
):
    network, card = load_model(two)
    _, both = predict(small, "both", model=str(two))
    for n, name in enumerate(CLASSES):
        spec = replace(card.spec, classes=1)
        alone, weights = UNet(spec).eval(), network.state_dict()
        half = len(weights["head.weight"]) // 2
        rows = slice(half * n, half * n + half)
        cut = {k: v[rows] if k.startswith("head.") else v for k, v in weights.items()}
        alone.load_state_dict(cut)
        folder = tmp_path / name
        save_model(folder, alone, card_for(spec, name=name, voxel_nm=(50, 50, 50), classes=(name,)))
        _, one = predict(small, name, model=str(folder))
        apart = made(both.channel(name)).astype(int) - made(one)
        assert np.abs(apart).max() <= 1  # sums of another order


@pytest.mark.parametrize("block", [(12, 20, 16), (24, 20, 32)])
@pytest.mark.parametrize("fusion", ["weighted", "union"])
def test_no_block_changes_a_class_and_votes_give_the_fusion(small, predict, two, block, fusion):
    how = {"model": str(two), "fusion": fusion, "weights": (3, 1, 2), "threshold": 0.4}
    plan, found = predict(small, f"{fusion}-{block[0]}", block=block, image_grid=True, **how)
    _, wanted = predict(small, f"{fusion}-default", **how)
    assert np.array_equal(made(found), made(wanted))
    for name in CLASSES:
        votes = made(Volume(votes_of_class(open_volume(plan.votes.url).info, name, option="class")))
        fused = fuse(votes[::-1], mode=fusion, threshold=0.4, weights=(3, 1, 2))
        assert np.array_equal(fused, made(found.channel(name)))


@pytest.mark.parametrize("votes", [True, False])
def test_the_certificate_holds_for_all_classes(small, predict, two, votes):
    plan, _ = predict(small, "certified", model=str(two), votes=votes, seam_check=4)
    with open(sibling(plan.output.url, "-certificate.json")) as file:
        found = json.load(file)
    assert found["passed"]
    assert found["largest"] <= 1
    assert found["voxels"] > 4 * 20 * 20 * 20


def test_memory_and_bytes_count_every_class(small, predict, two):
    one, both = (
        predict(small, "plan", model=str(two), plan_only=True, classes=classes)
        for classes in (CLASSES[:1], CLASSES)
    )
    first, second = one.steps[0], both.steps[0]
    assert second.bytes_written == 2 * first.bytes_written
    core = both.blocks[0].core.size
    assert second.peak_bytes >= first.peak_bytes + 4 * core
    assert second.flop == first.flop


def test_what_a_prediction_records_is_of_each_class(small, predict, two):
    _, both = predict(small, "both", model=str(two), votes=False)
    for name in CLASSES:
        picked = both.channel(name)
        values = made(picked)
        assert picked.info.provenance["values"] == [values.min(), values.max()]
    assert both.info.provenance["model"]["classes"] == list(CLASSES)


def test_classes_that_are_not_there_are_refused(small, predict, two):
    said = "two has no class 'golgi'; it predicts mitochondrion, er"
    with pytest.raises(ConfigError, match=said):
        predict(small, model=str(two), plan_only=True, classes=("golgi",))


def test_another_choice_of_classes_is_another_recipe(small, predict, two, tiny_model):
    plans = [predict(small, model=str(two), plan_only=True, classes=c) for c in ((), CLASSES[:1])]
    assert plans[0].digest != plans[1].digest
    alone = predict(small, plan_only=True)
    named = predict(small, plan_only=True, classes=("nucleus",))
    assert alone.digest == named.digest
    assert "classes" not in alone.recipe.options


def test_a_single_class_is_picked_by_its_name_or_by_none(small, predict, two):
    _, one = predict(small, "er", model=str(two), classes=("er",))
    assert one_class(one.info, "", option="o") == one.info == one_class(one.info, "er", option="o")
    with pytest.raises(ConfigError, match=r"er\.zarr holds er only: leave o = 'golgi' out"):
        one_class(one.info, "golgi", option="o")

"""`volproc models quantise`: a model's quantised weights from images, and what they cost."""

import shutil
from importlib.util import find_spec

import numpy as np
import pytest

from volproc.errors import ModelError, VolumeError
from volproc.model.checking import check_model
from volproc.model.model_folder import load_card
from volproc.stages.model_quantising import quantise_model

if find_spec("openvino") is None:
    pytest.skip("openvino is not installed (pip install volproc[int8])", allow_module_level=True)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def image(save_volume, noise):
    return save_volume("image.zarr", noise).info.url


def test_a_copy_has_both_weights_and_the_card_says_what_int8_costs(image, tiny_model, tmp_path):
    before = files_of(tiny_model)
    card = quantise_model(str(tiny_model), [image], str(tmp_path / "out"))
    assert files_of(tiny_model) == before
    assert load_card(tmp_path / "out") == card
    assert card.int8.steps_from == ("image.zarr",)
    assert 0 < card.int8.mean_difference < 0.02
    assert card.int8.mean_difference < card.int8.largest_difference < 0.5
    assert not [one for one in check_model(str(tmp_path / "out")) if one.wrong]
    damaged = (tmp_path / "out" / "int8.safetensors").read_bytes()[:-1] + b"~"
    (tmp_path / "out" / "int8.safetensors").write_bytes(damaged)
    assert "SHA-256 differs" in check_model(str(tmp_path / "out"))[0].what


def test_the_same_images_make_the_same_weights_in_place_too(image, tiny_model, tmp_path):
    once = quantise_model(str(tiny_model), [image], str(tmp_path / "out"))
    shutil.copytree(tiny_model, tmp_path / "here")
    assert quantise_model(str(tmp_path / "here"), [image]) == once
    assert files_of(tmp_path / "here") == files_of(tmp_path / "out")


def test_the_steps_are_of_the_first_planes_and_the_costs_of_the_others(
    save_volume, noise, tiny_model, tmp_path
):
    """Of a model that looks along z; the other half upside down leaves its constants alone."""
    folder = tmp_path / "along-z"
    shutil.copytree(tiny_model, folder)
    card = load_card(folder).model_copy(update={"axes": "z"})
    (folder / "card.json").write_text(card.model_dump_json())
    other = np.concatenate([noise[:20], noise[20:, ::-1]])
    one, two = (
        quantise_model(str(folder), [save_volume(name, values).info.url], str(tmp_path / "out"))
        for name, values in (("as-it-is.zarr", noise), ("turned.zarr", other))
    )
    assert one.int8.sha256 == two.int8.sha256
    assert one.int8.mean_difference != two.int8.mean_difference


def test_what_cannot_be_quantised_is_said_in_a_line(
    image, save_volume, noise, tiny_model, small_etchacell_model, tmp_path
):
    out = str(tmp_path / "out")
    with pytest.raises(ModelError, match="nuclei-50nm is a shipped model; give a folder"):
        quantise_model("nuclei-50nm", [image])
    with pytest.raises(ModelError, match="cannot be quantised: int8 is for volproc's U-Nets"):
        quantise_model(str(small_etchacell_model), [image], out)
    thin = save_volume("thin.zarr", noise[:8]).info.url
    with pytest.raises(ModelError, match=r"thin.zarr has \(8, 70, 90\) voxels .* 12 planes"):
        quantise_model(str(tiny_model), [thin], out)
    coarse = save_volume("coarse.zarr", noise, voxel_nm=(500, 500, 500)).info.url
    with pytest.raises(ModelError, match=r"model tiny works at .*coarser"):
        quantise_model(str(tiny_model), [coarse], out)
    labels = save_volume("labels.zarr", noise, kind="labels").info.url
    with pytest.raises(VolumeError, match="models quantise"):
        quantise_model(str(tiny_model), [labels], out)


@pytest.fixture
def small_etchacell_model(tmp_path):
    from tests.stages.predict.whole import save_random

    from volproc.model.etchacell_spec import EtchACellSpec

    return save_random(tmp_path / "etchacell", EtchACellSpec(start=2, levels=3))

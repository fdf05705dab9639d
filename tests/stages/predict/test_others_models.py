"""Models that others made, along three axes: the same laws as for our own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.foreign.networks import onnx_of, script_of, two_levels
from torch import nn

from volproc import PredictOptions, cli
from volproc.engine.run import Runner
from volproc.errors import ConfigError, ModelError
from volproc.grid.blocks import reflected
from volproc.model.weights import load_model
from volproc.stages.inference.tiling import oriented
from volproc.stages.predict.stage import plan_predict, run_predict
from volproc.stages.volume_sample import volume_constants
from volproc.volume.store import open_volume

CARD = "voxel_nm = [50, 50, 50]\n"
GREYS = """
[[preprocessing]]
id = "scale_linear"
gain = 0.02
offset = -2.5
"""


@pytest.fixture
def image(save_volume, noise):
    """36 x 40 x 44 voxels of 50 nm."""
    return save_volume("image.zarr", noise[:36, :40, :44])


@pytest.fixture
def model(tmp_path):
    """A model's file with its card: model("net.onnx", data, card)."""

    def write(name, data, card=CARD + GREYS):
        path = tmp_path / name
        path.write_bytes(data)
        path.with_suffix(".toml").write_text(card)
        return str(path)

    return write


def planned(image, model, name="out", **options):
    folder = Path(image.info.url).parent
    return plan_predict(
        image.info,
        str(folder / f"{name}.zarr"),
        PredictOptions(model=model, trust_model=True, **options),
        votes_url=str(folder / f"{name}-votes.zarr"),
    )


def votes_of(image, model, runner, name="out", **options):
    """uint8 votes along z, y, x."""
    plan = planned(image, model, name, **options)
    folder = Path(image.info.url).parent
    volume = run_predict(plan, Runner(runner.engine, folder / f"{name}-ledger"))
    votes = open_volume(plan.votes.url)
    return votes.read(votes.info.box).reshape(-1, *volume.info.shape)[::-1].astype(int)


def test_our_own_network_as_a_strangers_answers_the_same(image, tiny_model, model, runner):
    network, card = load_model(tiny_model)
    constants = volume_constants(image)
    steps = [
        f'id = "fixed_zero_mean_unit_variance"\nmean = {constants.mean}\nstd = {constants.std}',
        'id = "clip"\nmin = -5\nmax = 5',
    ]
    text = f'{CARD}axes = "bzyx"\ndepth = {card.slices_in}\n'
    text += "\n".join(f"[[preprocessing]]\n{step}" for step in steps)
    text += '\n[[postprocessing]]\nid = "sigmoid"'
    script = model("own.pt", script_of(network, planes=card.slices_in), text)
    wanted = votes_of(image, str(tiny_model), runner, tile=(12, 20, 16))
    found = votes_of(image, script, runner, "script", tile=(12, 20, 16))
    assert wanted.std() > 5
    assert np.abs(found - wanted).max() <= 1


def whole_answers(image, module, dims):
    """Each axis' probability times 255 from the whole volume at once."""
    values = torch.from_numpy(image.read(image.info.box).astype(np.float32)) * 0.02 - 2.5
    votes = []
    for n, axis in enumerate("zyx"):
        planes = oriented(values, axis)
        planes = planes[:, None] if dims == 2 else planes[None, None]
        with torch.inference_mode():
            answer = module(planes)
        answer = answer[:, 0] if dims == 2 else answer[0, 0]
        votes.append(answer.movedim(0, n).numpy() * 255)
    return np.stack(votes)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("tile", [None, (16, 8, 12)])
def test_tiles_give_the_answer_of_the_whole_volume_at_once(image, model, runner, dims, tile):
    module = two_levels(dims)
    path = onnx_of(module, dims=dims)
    card = CARD + f'axes = "{"bcyx" if dims == 2 else "bczyx"}"\n' + GREYS
    found = votes_of(image, model("net.onnx", path, card), runner, tile=tile)
    wanted = whole_answers(image, module, dims)
    inside = (slice(None), *[slice(4, -4)] * 3)  # beyond it the volume goes on, mirrored
    assert wanted[inside].std() > 5
    assert np.abs(found - wanted)[inside].max() < 0.5 + 1e-2


def test_a_network_of_one_size_gets_tiles_that_fit(image, model, runner):
    fixed = model("fixed.onnx", onnx_of(two_levels(), sides=[24, 24]))
    plan = planned(image, fixed)
    assert max(plan.layout.tile) == 24 - 2 * plan.layout.halo
    assert all(size % tile == 0 for size, tile in zip(plan.blocks.core, plan.layout.tile))
    found = votes_of(image, fixed, runner, tile=(16, 16, 16))
    inside = (slice(None), *[slice(4, -4)] * 3)
    assert np.abs(found - whole_answers(image, two_levels(), 2))[inside].max() < 0.5 + 1e-2
    with pytest.raises(ConfigError, match=r"tile = \[32, 32, 32\].*takes no more than 16"):
        planned(image, fixed, tile=(32, 32, 32))
    with pytest.raises(ModelError, match=r"takes 24 pixels, of which a halo of 12 .* leaves none"):
        planned(image, fixed, halo=12)


def test_blocks_never_change_the_votes(image, model, runner):
    card = CARD + 'axes = "bczyx"\n' + GREYS
    path = model("net.onnx", onnx_of(two_levels(3), dims=3), card)
    wanted = votes_of(image, path, runner, tile=(16, 16, 16))
    found = votes_of(image, path, runner, "blocks", tile=(16, 16, 16), block=(12, 40, 20))
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("planes", [1, 3, 20])
def test_a_volume_thinner_than_the_models_planes_is_mirrored(
    save_volume, noise, model, runner, planes
):
    thin = save_volume("thin.zarr", noise[:planes, :40, :44])
    path = model("net.onnx", onnx_of(two_levels(3), dims=3), CARD + 'axes = "bczyx"\n' + GREYS)
    note = f"reads 24 planes, along z the volume has {planes} at the model's voxel size"
    plan = planned(thin, path)
    assert plan.options.axes == "z"
    assert plan.notes[0].startswith(f"{note}: the others are mirrored ones, and it is viewed along")
    stated = planned(thin, path, axes="zyx")
    assert stated.options.axes == "zyx"
    assert stated.notes == (f"{note}: the others are mirrored ones",)
    mirrored = noise[reflected(-24, 48, planes), :40, :44]
    thick = save_volume("thick.zarr", mirrored)
    wanted = votes_of(thick, path, runner, "of-thick", axes="z")[0, 24 : 24 + planes]
    found = votes_of(thin, path, runner, "of-thin", axes="z")[0]
    assert np.abs(found[2:-2].astype(int) - wanted[2:-2]).max(initial=0) <= 1


@pytest.fixture
def volproc(monkeypatch, capsys):
    """A command and what it says: (exit code, output, errors)."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["volproc", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return run


def test_seams_to_be_expected_are_said_by_plan_and_predict(
    image, model, volproc, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = model("net.pt", script_of(two_levels(norm=nn.InstanceNorm2d(4))))
    code, _, error = volproc("predict", image.info.url, path, "out.zarr", "--serial")
    assert code == 2
    assert error.count("\n") == 1
    assert "if you trust its maker say --trust-model" in error
    code, said, _ = volproc(
        "predict", image.info.url, path, "out.zarr", "--serial", "--trust-model"
    )
    assert code == 0
    assert "its model: looks at a whole tile at once (instance_norm)" in said
    Path("workflow.toml").write_text(
        f'[run]\nsource = "{image.info.url}"\n'
        f'[predict]\nmodel = "net.pt"\ncard = "net.toml"\ntrust_model = true\n'
    )
    code, said, _ = volproc("plan", "workflow.toml", "--stages", "predict")
    assert code == 0
    assert "net.pt: looks at a whole tile at once (instance_norm)" in " ".join(said.split())

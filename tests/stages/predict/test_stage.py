from pathlib import Path

import numpy as np
import pytest
import torch
from tests.stages.predict.whole import whole_at_once

from volproc import PredictOptions
from volproc.engine.run import Runner
from volproc.errors import ConfigError, ModelError, VolumeError
from volproc.fusion import FUSIONS, fuse
from volproc.stages.predict.stage import plan_predict, run_predict
from volproc.stages.volume_sample import volume_constants
from volproc.volume.store import open_volume

BLOCKS = [(16, 16, 32), (11, 36, 20), (20, 36, 36)]


@pytest.fixture
def image(save_volume, noise):
    """20 x 36 x 45 voxels of 50 x 50 x 40 nm: resampled along x by a factor that is not whole."""
    return save_volume("image.zarr", noise[:20, :36, :45], voxel_nm=(50, 50, 40))


def predicted(image, model, runner, name="out", **options):
    folder = Path(image.info.url).parent
    chosen = PredictOptions(model=str(model), **{"tile": (12, 20, 16), **options})
    plan = plan_predict(
        image.info,
        str(folder / f"{name}.zarr"),
        chosen,
        votes_url=str(folder / f"{name}-votes.zarr"),
    )
    volume = run_predict(plan, Runner(runner.engine, folder / f"{name}-ledger"))
    votes = open_volume(plan.votes.url)
    channels = votes.read(votes.info.box).reshape(-1, *volume.info.shape)
    return volume.read(volume.info.box), channels[::-1]  # x y z -> z y x


def test_blocks_never_change_the_votes(image, tiny_model, runner):
    """Bit by bit on the CPU, for blocks that fit the tiles and blocks that cut them."""
    wanted, wanted_votes = predicted(image, tiny_model, runner)
    assert wanted.shape == (20, 36, 36)
    assert wanted_votes.std() > 5
    for n, block in enumerate(BLOCKS):
        found, votes = predicted(image, tiny_model, runner, f"blocks-{n}", block=block)
        assert np.array_equal(votes, wanted_votes)
        assert np.array_equal(found, wanted)


@pytest.mark.dask
def test_workers_find_what_one_process_finds(image, tiny_model, runner, dask_runner):
    wanted, wanted_votes = predicted(image, tiny_model, runner)
    found, votes = predicted(image, tiny_model, dask_runner, "dask", block=BLOCKS[0])
    assert np.array_equal(votes, wanted_votes)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("tile", [(16, 16, 16), (8, 24, 32), (20, 36, 36)])
def test_tiles_give_the_answer_of_the_whole_volume_at_once(image, tiny_model, runner, tile):
    _, votes = predicted(image, tiny_model, runner, tile=tile)
    wanted = whole_at_once(image, tiny_model, mirrored=4)
    # sums of another order differ in the last bits of float32, which may turn a rounding
    assert np.abs(votes - wanted).max() < 0.5 + 1e-2


@pytest.mark.parametrize("mode", FUSIONS)
def test_the_written_volume_is_the_fusion_of_the_written_votes(image, tiny_model, runner, mode):
    found, votes = predicted(image, tiny_model, runner, fusion=mode, threshold=0.4)
    assert np.array_equal(found, fuse(votes, mode=mode, threshold=0.4))


@pytest.mark.parametrize("axes", ["z", "yx"])
def test_fewer_axes_are_a_part_of_all(image, tiny_model, runner, axes):
    _, wanted = predicted(image, tiny_model, runner)
    _, votes = predicted(image, tiny_model, runner, "fewer", axes=axes)
    assert np.array_equal(votes, wanted[["zyx".index(axis) for axis in axes]])


def test_the_result_is_on_the_models_grid(image, tiny_model, runner, tmp_path):
    predicted(image, tiny_model, runner)
    info = open_volume(tmp_path / "out.zarr").info
    assert info.voxel_nm == (50, 50, 50)
    assert info.shape == (20, 36, 36)
    assert info.dtype == "uint8"
    assert open_volume(tmp_path / "out-votes.zarr").info.channels == ("x", "y", "z")


def test_a_plan_knows_what_it_costs(image, tiny_model):
    plan = plan_predict(image.info, "out.zarr", PredictOptions(model=str(tiny_model)))
    step = plan.steps[0]
    assert step.bytes_written == 20 * 36 * 36
    assert step.bytes_read >= 20 * 36 * 45
    assert step.flop > 0
    assert step.peak_bytes > 20 * 36 * 45


def test_constants_come_from_the_volume_not_the_block(save_volume, noise):
    constants = volume_constants(save_volume("image.zarr", noise))
    known = noise[(noise > 0) & (noise < 255)]
    assert constants.mean == pytest.approx(known.mean())
    assert constants.std == pytest.approx(known.std())


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_refused(save_volume, noise, tiny_model, runner, wrong):
    values = noise[:20, :36, :36].astype("float32")
    values[3, 4, 5] = wrong
    image = save_volume("image.zarr", values)
    with pytest.raises(Exception, match=r"image\.zarr, voxels z .* holds NaN or infinite"):
        predicted(image, tiny_model, runner)


def test_other_types_are_predicted_as_they_are(save_volume, noise, tiny_model, runner):
    _, wanted = predicted(save_volume("a.zarr", noise[:20, :36, :36]), tiny_model, runner)
    scaled = save_volume("b.zarr", noise[:20, :36, :36].astype("uint16") * 16 + 7)
    _, votes = predicted(scaled, tiny_model, runner, "sixteen")
    assert np.abs(votes.astype(int) - wanted).max() <= 1


def test_labels_where_an_image_is_expected_are_refused(save_volume, noise, tiny_model):
    labels = save_volume("labels.zarr", noise, kind="labels")
    with pytest.raises(VolumeError, match="is a label volume; predict needs the image"):
        plan_predict(labels.info, "out.zarr", PredictOptions(model=str(tiny_model)))


def test_a_voxel_size_out_of_reach_is_refused(save_volume, noise, tiny_model):
    coarse = save_volume("coarse.zarr", noise, voxel_nm=(50, 120, 120))
    with pytest.raises(ModelError, match=r"model tiny works at \[50.0, 50.0, 50.0\] nm, but .*120"):
        plan_predict(coarse.info, "out.zarr", PredictOptions(model=str(tiny_model)))


def test_a_missing_model_or_gpu_is_named(image, tiny_model):
    with pytest.raises(ModelError, match="no model 'nothing-here'"):
        plan_predict(image.info, "out.zarr", PredictOptions(model="nothing-here"))
    if not torch.cuda.is_available():
        options = PredictOptions(model=str(tiny_model), device="cuda")
        with pytest.raises(ConfigError, match="torch finds no GPU here"):
            plan_predict(image.info, "out.zarr", options)


def test_a_prediction_knows_its_model_and_its_range(image, tiny_model, runner):
    found, _ = predicted(image, tiny_model, runner)
    record = open_volume(Path(image.info.url).parent / "out.zarr").info.provenance
    assert record["values"] == [found.min(), found.max()]
    assert record["model"]["image_voxel_nm"] == [50, 50, 40]
    assert "nothing_found" not in record


def test_a_prediction_that_is_the_same_everywhere_says_so(image, tiny_model, runner):
    """A vote of each axis for more than a network without training ever says."""
    found, _ = predicted(image, tiny_model, runner, fusion="majority", threshold=1.0)
    assert found.max() == 0
    record = open_volume(Path(image.info.url).parent / "out.zarr").info.provenance
    assert record["nothing_found"].startswith("no objects: the prediction is 0 everywhere; ")

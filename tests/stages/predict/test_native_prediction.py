from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc import PredictOptions
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ConfigError
from volproc.grid.box import Box, whole_box
from volproc.stages.native_grid import run_native
from volproc.stages.predict.native_prediction import (
    VoteTransform,
    plan_native,
    resampler_to,
)
from volproc.volume.metadata import Level
from volproc.volume.resampling import Resampling, as_tensor, resampled
from volproc.volume.store import open_volume


def on_native(prediction, image, folder, *, votes=None, shards=None, **options):
    options = PredictOptions(image_grid=True, **options)
    plan = plan_native(
        prediction.info,
        votes.info if votes else None,
        image.info,
        options,
        recipe=Recipe("predict", 1, {}, {"shards": shards}),
    )
    if shards:
        cut = [replace(level, chunks=shards, shards=shards) for level in plan.output.levels]
        plan = replace(plan, output=replace(plan.output, levels=tuple(cut)))
    name = f"native-{shards}-{options.fusion}-{options.threshold}"
    volume = run_native(plan, Runner(SerialEngine(), folder / name))
    return volume.read(volume.info.box)


SHARDS = (None, (5, 36, 10), (16, 7, 45))


@pytest.mark.parametrize("fusion", ["mean", "max"])
def test_blocks_give_what_the_whole_prediction_gives_at_once(small, predict, tmp_path, fusion):
    _, prediction = predict(small, fusion=fusion)
    way = resampler_to(prediction.info, small.info)
    values = prediction.read(prediction.info.box)
    wanted = resampled(as_tensor(values), way, whole_box(small.info.shape)).numpy()
    assert wanted.shape == (20, 36, 45)
    for shards in SHARDS:
        found = on_native(prediction, small, tmp_path, fusion=fusion, shards=shards)
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize(("fusion", "enough"), [("union", 1), ("majority", 2)])
@pytest.mark.parametrize(("axes", "threshold"), [("zyx", 0.45), ("zx", 0.5)])
def test_what_is_cut_is_counted_anew_from_each_axis_probability(
    small, predict, tmp_path, fusion, enough, axes, threshold
):
    """The law: whole arrays interpolated by numpy's rounding, cut, and counted; no block shows."""
    how = {"axes": axes, "threshold": threshold, "fusion": fusion}
    plan, prediction = predict(small, **how)
    votes = open_volume(plan.votes.url)
    way = resampler_to(prediction.info, small.info)
    values = votes.read(votes.info.box)
    seen = [resampled(as_tensor(v), way, whole_box(small.info.shape)).numpy() for v in values]
    yes = np.sum([v >= np.floor(255 * threshold + 0.5) for v in seen], axis=0)
    wanted = np.where(yes >= enough, 255, 0)
    assert 0.02 < (wanted > 0).mean() < 0.98
    for shards in SHARDS:
        found = on_native(prediction, small, tmp_path, votes=votes, shards=shards, **how)
        assert np.array_equal(found, wanted)
    fused = resampled(as_tensor(prediction.read(prediction.info.box)), way, small.info.box)
    assert ((fused.numpy() >= 128) != (wanted > 0)).any()  # the outline of the cut one differs


@given(
    votes=arrays(np.uint8, (2, 6, 7, 8)),
    finer=st.tuples(*[st.sampled_from([0.5, 0.8, 1, 1.6])] * 3),
    mode=st.sampled_from(["union", "majority"]),
    threshold=st.floats(0, 1),
    data=st.data(),
)
@settings(max_examples=40)
def test_a_box_is_that_part_of_the_whole(votes, finer, mode, threshold, data):
    shape = tuple(round(n / f) for n, f in zip(votes.shape[1:], finer, strict=True))
    way = VoteTransform(Resampling(0, votes.shape[1:], shape, finer, finer), mode, threshold)
    whole = whole_box(shape)
    everything = way.sample(votes, whole)
    ends = [sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=2))) for n in shape]
    box = Box(*zip(*ends, strict=True))
    part = way.sample(votes[(slice(None), *way.source(box).slices)], box)
    assert np.array_equal(part, everything[box.slices])


def test_an_edge_that_all_axes_see_lies_where_the_probability_crosses_the_threshold(
    save_volume, tmp_path
):
    """A ramp from 0 to 255: cut first and seen finer, it would end at the border of a voxel."""
    ramp = np.broadcast_to(np.linspace(0, 255, 12).round().astype(np.uint8), (4, 6, 12))
    image = save_volume("i.zarr", np.zeros((4, 15, 60), np.uint8), voxel_nm=(50, 20, 10))
    votes = save_volume("v.zarr", ramp.copy())
    found = on_native(votes, image, tmp_path, votes=votes, fusion="union", threshold=0.3)
    at_nm = (np.arange(60) + 0.5) * 10
    wanted = np.interp(at_nm, (np.arange(12) + 0.5) * 50, ramp[0, 0])
    assert np.array_equal(found, np.broadcast_to(np.where(wanted >= 76.5, 255, 0), found.shape))


def test_a_ramp_stays_a_ramp_in_nm(save_volume, tmp_path):
    """Linear interpolation at the centres of the image's voxels: 50 nm seen at 20 nm."""
    ramp = np.broadcast_to(np.arange(10, 250, 20, dtype=np.uint8), (4, 6, 12)).copy()
    prediction = save_volume("p.zarr", ramp, voxel_nm=(50, 50, 50))
    image = save_volume("i.zarr", np.zeros((4, 15, 30), np.uint8), voxel_nm=(50, 20, 20))
    found = on_native(prediction, image, tmp_path)
    at_nm = (np.arange(30) + 0.5) * 20
    wanted = np.interp(at_nm, (np.arange(12) + 0.5) * 50, ramp[0, 0])
    assert np.abs(found - wanted).max() <= 0.5 + 1e-3


def test_on_its_own_grid_nothing_changes(small, predict, tmp_path):
    for fusion in ("mean", "union"):
        plan, prediction = predict(small, fusion, fusion=fusion)
        votes = open_volume(plan.votes.url)
        found = on_native(prediction, prediction, tmp_path / fusion, votes=votes, fusion=fusion)
        assert np.array_equal(found, prediction.read(prediction.info.box))


def test_predict_writes_it_when_asked(small, predict):
    plan, _ = predict(small, image_grid=True, fusion="majority")
    volume = open_volume(plan.native.output.url)
    assert volume.info.url.endswith("out-native.zarr")
    assert volume.info.shape == small.info.shape
    assert volume.info.voxel_nm == small.info.voxel_nm
    assert set(np.unique(volume.read(volume.info.box))) == {0, 255}
    assert plan.digest == predict(small, fusion="majority", plan_only=True).digest
    assert isinstance(volume.info.levels[0], Level)


def test_what_is_cut_needs_the_votes_and_the_plan_says_what_they_cost(small, predict):
    with pytest.raises(ConfigError, match=r"image_grid with fusion = 'union' .*--votes"):
        predict(small, image_grid=True, fusion="union", votes=False, plan_only=True)
    mean = predict(small, image_grid=True, votes=False, plan_only=True).native.steps[0]
    union = predict(small, image_grid=True, fusion="union", plan_only=True).native.steps[0]
    assert union.bytes_read == 3 * mean.bytes_read
    assert union.peak_bytes > mean.peak_bytes
    assert union.bytes_written == mean.bytes_written


def test_memory_is_that_of_the_votes_the_result_and_a_few_planes(small, predict):
    """Of 16 planes at a time 12 bytes a voxel and 2 a vote; the votes themselves, and 4 results."""
    plan = predict(small, image_grid=True, fusion="union", plan_only=True).native
    step = plan.steps[0]
    votes = plan.transform.source(step.blocks[0].core).grow((1, 1, 1)).size
    planes = -(-16 * (12 + 2 * 3) // step.blocks.core[0])
    assert step.peak_bytes == 3 * votes + step.blocks[0].core.size * (4 + planes)

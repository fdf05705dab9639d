from dataclasses import replace

import numpy as np
import pytest

from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.grid.box import whole_box
from volproc.stages.predict.native import plan_native, run_native, way_to
from volproc.volume.metadata import Level
from volproc.volume.resample import as_tensor, resampled
from volproc.volume.store import open_volume


def on_native(prediction, image, folder, *, binary=False, shards=None):
    plan = plan_native(prediction.info, image.info, binary=binary, digest=f"{shards}")
    if shards:
        cut = [replace(level, chunks=shards, shards=shards) for level in plan.output.levels]
        plan = replace(plan, output=replace(plan.output, levels=tuple(cut)))
    volume = run_native(plan, Runner(SerialEngine(), folder / f"native-{shards}-{binary}"))
    return volume.read(volume.info.box)


@pytest.mark.parametrize("binary", [False, True])
def test_blocks_give_what_the_whole_prediction_gives_at_once(small, predict, tmp_path, binary):
    _, prediction = predict(small, fusion="union" if binary else "mean")
    way = way_to(prediction.info, small.info)
    values = prediction.read(prediction.info.box)
    wanted = resampled(as_tensor(values), way, whole_box(small.info.shape)).numpy()
    if binary:
        wanted = np.where(wanted >= 128, 255, 0)
    assert wanted.shape == (20, 36, 45)
    for shards in (None, (5, 36, 10), (16, 7, 45)):
        found = on_native(prediction, small, tmp_path, binary=binary, shards=shards)
        assert np.array_equal(found, wanted)


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
    _, prediction = predict(small)
    found = on_native(prediction, prediction, tmp_path)
    assert np.array_equal(found, prediction.read(prediction.info.box))


def test_predict_writes_it_when_asked(small, predict):
    plan, _ = predict(small, native=True, fusion="majority")
    volume = open_volume(plan.native.output.url)
    assert volume.info.url.endswith("out-native.zarr")
    assert volume.info.shape == small.info.shape
    assert volume.info.voxel_nm == small.info.voxel_nm
    assert set(np.unique(volume.read(volume.info.box))) == {0, 255}
    assert plan.digest == predict(small, fusion="majority", plan_only=True).digest
    assert isinstance(volume.info.levels[0], Level)

"""What goes wrong in a block is bounded, counted and said; the other blocks are kept."""

import json
from pathlib import Path

import numpy as np
import pytest

from volproc.config.devices import planned_for
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import BlocksFailedError, VolprocError, VolumeError
from volproc.stages.predict.stage import run_predict
from volproc.stages.predict.task import Predict
from volproc.volume.store import open_volume

HOW = {"tile": (20, 20, 20), "block": (20, 20, 20)}


def recorded(image, name="out"):
    lines = Path(image.info.url).with_name(f"{name}-ledger") / "predict.jsonl"
    return sorted(json.loads(line)["block"] for line in lines.read_text().splitlines()[1:])


def test_a_block_that_fails_every_time_is_named_and_the_others_are_kept(
    small, predict, monkeypatch
):
    tried = []
    sound = Predict.compute

    def failing(task, block, loaded):
        tried.append(block.index)
        if block.index == 2:
            raise RuntimeError("this card has a broken memory cell")
        return sound(task, block, loaded)

    monkeypatch.setattr(Predict, "compute", failing)
    said = r"1 of 4 blocks failed: 2 \(z 0:20, y 20:36, x 0:20\).*broken memory cell; .* report it"
    with pytest.raises(BlocksFailedError, match=said) as caught:
        predict(small, **HOW)
    assert caught.value.exit_code == 1
    assert tried == [0, 1, 2, 3]  # a fault of the program is not tried again
    assert recorded(small) == [0, 1, 3]
    with pytest.raises(VolumeError, match="is unfinished"):
        open_volume(small.info.url.replace("image", "out"))

    monkeypatch.setattr(Predict, "compute", sound)
    _, made = predict(small, **HOW)
    _, wanted = predict(small, "undisturbed", **HOW)
    assert np.array_equal(made.read(made.info.box), wanted.read(wanted.info.box))


def test_blocks_with_voxels_that_are_no_numbers_are_counted_and_the_others_kept(
    save_volume, noise, predict
):
    values = noise[:20, :60, :90].astype("float32")
    values[3, 4, 85] = np.nan
    image = save_volume("image.zarr", values)
    said = r"image\.zarr, voxels z .*, holds NaN or infinite voxels.*\(and \d+ more blocks\)"
    with pytest.raises(VolprocError, match=said) as caught:
        predict(image, tile=(20, 12, 12), block=(20, 12, 12))
    assert caught.value.exit_code == 2
    assert len(recorded(image)) > 20


def test_a_worker_without_the_gpu_that_was_planned_says_so(small, predict):
    with planned_for(True):
        plan = predict(small, plan_only=True, votes=False)
        assert all(step.on_gpu == (step.name in ("predict", "certify")) for step in plan.steps)
    said = r"^predict: the network was planned to run on a GPU, .*: no driver .* device = \"cpu\""
    with pytest.raises(VolprocError, match=said) as caught:
        run_predict(plan, Runner(SerialEngine(), Path(small.info.url).with_name("l")))
    assert caught.value.exit_code == 2


def test_a_worker_with_a_gpu_runs_on_its_cpu_what_was_planned_for_that(small, predict, monkeypatch):
    with planned_for(False):
        plan = predict(small, plan_only=True, votes=False)
    assert not any(step.on_gpu for step in plan.steps)
    monkeypatch.setattr("volproc.model.device.why_no_gpu", lambda: "")
    made = run_predict(plan, Runner(SerialEngine(), Path(small.info.url).with_name("l")))
    values = made.read(made.info.box)
    monkeypatch.undo()
    _, wanted = predict(small, "undisturbed", device="cpu", votes=False)
    assert np.array_equal(values, wanted.read(wanted.info.box))

"""What goes wrong in a block is bounded, counted and said; the other blocks are kept."""

import json
from pathlib import Path

import numpy as np
import pytest

from volproc.errors import BlocksFailedError, VolprocError, VolumeError
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

"""Damage is removed, and the command that made the volume makes those blocks again only."""

from dataclasses import replace

import numpy as np
import pytest

from volproc import LabelOptions
from volproc.engine.events import BlockDone
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import VolumeError
from volproc.stages.check.repair import repair
from volproc.stages.check.stage import plan_check, run_check
from volproc.stages.label.stage import plan_label, run_label
from volproc.volume import metadata
from volproc.volume.store import open_volume


@pytest.fixture
def label(tmp_path, save_volume, noise, monkeypatch):
    """label(): objects of the noise in shards of 16 voxels, and the blocks that were done."""
    monkeypatch.setattr(metadata, "MIN_LEVEL", 32)
    mask = save_volume("mask.zarr", noise)

    def labelled():
        done = []
        runner = Runner(SerialEngine(), tmp_path / "objects.zarr.volproc/ledger", [done.append])
        options = LabelOptions(min_volume_um3=0, block=(16, 16, 16))
        made = run_label(plan_label(mask.info, str(tmp_path / "objects.zarr"), options), runner)
        return made.labels, [(e.step, e.block) for e in done if isinstance(e, BlockDone)]

    return labelled


def checked(url):
    plan = plan_check(str(url), depth="deep")
    return plan, run_check(plan, Runner(SerialEngine(), f"{url}.checked"))


DAMAGE = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_blocks_are_made_again_and_no_others(tmp_path, label, damage):
    volume, _ = label()
    expected = volume.read(volume.info.box)
    DAMAGE[damage](tmp_path / "objects.zarr" / "0" / "c" / "1" / "2" / "3")
    plan, found = checked(volume.info.url)
    repair(plan, found)
    with pytest.raises(VolumeError, match="unfinished"):
        open_volume(volume.info.url)
    again, done = label()
    assert [step for step, _ in done] == ["relabel"]
    np.testing.assert_array_equal(again.read(again.info.box), expected)
    assert not checked(volume.info.url)[1]


def test_a_damaged_coarser_level_is_made_again_from_the_finer(tmp_path, label):
    volume, _ = label()
    expected = volume.read(volume.info.levels[1].box, level=1)
    next((tmp_path / "objects.zarr" / "1").rglob("c/0/0/0")).unlink()
    repair(*checked(volume.info.url))
    again, done = label()
    assert {step for step, _ in done} == {"pyramid of labels, level 1"}
    np.testing.assert_array_equal(again.read(again.info.levels[1].box, level=1), expected)


def test_nothing_is_touched_where_nothing_is_damaged(tmp_path, label):
    volume, _ = label()
    assert repair(*checked(volume.info.url)) == ()
    assert open_volume(volume.info.url).fingerprint == volume.fingerprint


def test_what_others_wrote_cannot_be_made_again(tmp_path, label):
    volume, _ = label()
    file = tmp_path / "objects.zarr" / "0" / "c" / "0" / "0" / "0"
    file.write_bytes(b"")
    plan, found = checked(volume.info.url)
    strangers = tuple(replace(image, ours=False) for image in plan.images)
    with pytest.raises(VolumeError, match="was not written by volproc"):
        repair(replace(plan, images=strangers), found)
    assert file.exists()

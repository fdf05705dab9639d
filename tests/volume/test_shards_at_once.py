"""Shards on several threads: the same files, the caller's lease, and no thread left behind."""

import threading
import time

import numpy as np
import pytest
import zarr

from volproc import lease
from volproc.errors import VolumeError
from volproc.grid.box import whole_box
from volproc.volume.metadata import new_volume
from volproc.volume.shards_at_once import each_at_once
from volproc.volume.store import create_volume

SHAPE = (40, 50, 70)
VOXELS = np.random.default_rng(3).integers(0, 250, SHAPE, dtype=np.uint8)


def on(threads):
    """Within it this process has so many threads for shards."""
    return zarr.config.set({"threading.max_workers": threads})


@pytest.fixture
def volume(tmp_path):
    """volume(name): one of 3 x 2 x 3 shards, without voxels."""

    def make(name):
        info = new_volume(
            str(tmp_path / name),
            shape=SHAPE,
            voxel_nm=(10, 10, 10),
            dtype="uint8",
            chunks=(8, 16, 16),
            shards=(16, 32, 32),
            max_levels=1,
        )
        return create_volume(info, step="made", digest="d", version="0")

    return make


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "c" in path.relative_to(folder).parts
    }


def test_files_and_voxels_are_those_of_one_thread(volume, tmp_path):
    for name, threads in (("one.zarr", 1), ("three.zarr", 3)):
        made = volume(name)
        with on(threads):
            made.write(whole_box(SHAPE), VOXELS)
            np.testing.assert_array_equal(made.read(whole_box(SHAPE)), VOXELS)
    assert len(files(tmp_path / "one.zarr")) == 18
    assert files(tmp_path / "one.zarr") == files(tmp_path / "three.zarr")


def test_a_damaged_shard_is_one_line(volume, tmp_path):
    with on(3):
        made = volume("a.zarr")
        made.write(whole_box(SHAPE), VOXELS)
        shard = tmp_path / "a.zarr" / made.info.levels[0].path / "c" / "1" / "1" / "1"
        shard.write_bytes(shard.read_bytes()[:-30])
        with pytest.raises(VolumeError, match="does not have the checksum it states"):
            made.read(whole_box(SHAPE))


def test_threads_are_several_and_know_what_the_caller_knows():
    together, seen = threading.Barrier(3, timeout=60), []

    def do(_):
        together.wait()
        seen.append(lease.current())

    with lease.under(("mine",)), on(3):
        each_at_once(do, range(3))
    assert seen == [("mine",)] * 3


def test_an_error_waits_for_the_other_threads():
    done = []

    def do(number):
        if number == 0:
            raise ValueError("the first")
        time.sleep(0.05)
        done.append(number)

    with on(3), pytest.raises(ValueError, match="the first"):
        each_at_once(do, range(5))
    assert sorted(done) == [1, 2, 3, 4]

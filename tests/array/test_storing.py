"""`volproc.store`: where the voxel size comes from, and what goes in."""

import signal
import subprocess
import sys
import time

import dask.array as da
import numpy as np
import pytest

import volproc
from volproc.config.cluster import ClusterOptions
from volproc.errors import OutputError, VolumeError

HERE = {"cluster": ClusterOptions(kind="serial")}


@pytest.fixture
def image(save_volume, noise):
    return save_volume("a.zarr", noise, voxel_nm=(50, 10, 20), corner_nm=(0, 30, 0))


def test_a_result_lies_where_what_it_is_like_does(image, noise, tmp_path):
    made = volproc.store(image.dask() // 2, tmp_path / "b.zarr", like=image, **HERE)
    assert np.array_equal(made[...], noise // 2)
    assert made.voxel_nm == (50, 10, 20)
    np.testing.assert_allclose(made.info.corner_nm, image.info.corner_nm)
    by_path = volproc.store(noise, tmp_path / "c.zarr", like=image.info.url, **HERE)
    np.testing.assert_allclose(by_path.info.corner_nm, image.info.corner_nm)


def test_a_coarser_level_has_its_own_voxel_size(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (20, 300, 300)).astype("u1")
    image = volproc.store(values, tmp_path / "a.zarr", voxel_nm=(50, 10, 10), **HERE)
    made = volproc.store(image.dask(1) > 99, tmp_path / "b.zarr", like=image, kind="mask", **HERE)
    assert made.voxel_nm == (50, 20, 20)
    np.testing.assert_allclose(made.info.corner_nm, image.info.corner_nm)


def test_labels_inside_their_image_are_listed_there(image, tmp_path):
    url = f"{image.info.url}/labels/bright"
    made = volproc.store(image.dask() > 99, url, like=image, kind="labels", **HERE)
    assert made.info.kind == "labels"
    assert volproc.check(image.info.url, **HERE) == ()


def test_a_volume_is_taken_and_never_written_over(image, noise, tmp_path):
    made = volproc.store(image, tmp_path / "b.zarr", like=image, **HERE)
    assert np.array_equal(made[...], noise)
    for array in (image, da.from_array(image) + 1):
        with pytest.raises(OutputError, match=r"(holds|is the same place as) .*which is read"):
            volproc.store(array, image.info.url, like=image, overwrite=True, **HERE)
    assert np.array_equal(volproc.open_volume(image.info.url)[...], noise)


def test_a_prediction_and_its_labels_are_stored_block_by_block(
    noise, tiny_model, tmp_path, monkeypatch
):
    """The task of the prediction runs inside that of the block, in one process."""
    monkeypatch.setattr(
        "volproc.stages.store.stage.block_and_shard", lambda *_, **__: ((16, 32, 32),) * 2
    )
    monkeypatch.setattr("volproc.stages.store.stage.chunk_shape", lambda _: (16, 32, 32))
    nm = (50, 50, 50)
    lazy = volproc.array.predict(noise, str(tiny_model), voxel_nm=nm, block=(16, 32, 32))
    made = volproc.store(lazy, tmp_path / "p.zarr", voxel_nm=nm, **HERE)
    assert np.array_equal(made[...], lazy.compute())
    ids = volproc.array.label(made, threshold=0.5)
    labels = volproc.store(ids, tmp_path / "l.zarr", like=made, kind="labels", **HERE)
    assert np.array_equal(labels[...], ids.compute())


def test_numpy_and_xarray_are_taken(image, noise, tmp_path):
    pytest.importorskip("xarray")
    one = volproc.store(noise, tmp_path / "n.zarr", voxel_nm=(50, 10, 20), **HERE)
    two = volproc.store(image.to_xarray() + 1, tmp_path / "x.zarr", like=image, **HERE)
    assert np.array_equal(one[...] + 1, two[...])


@pytest.mark.parametrize(
    ("array", "how", "words"),
    [
        (da.zeros((4, 4)), {"voxel_nm": (1, 1, 1)}, r"shape \(4, 4\) is no volume"),
        (da.zeros((2, 4, 4, 4)), {"voxel_nm": (1, 1, 1)}, "channels one by one"),
        (da.zeros((9,) * 3)[da.ones(9) > 0], {"voxel_nm": (1, 1, 1)}, "compute_chunk_sizes"),
        (da.zeros((4, 4, 4)), {}, "needs like=VOLUME, or voxel_nm"),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path, array, how, words):
    with pytest.raises(VolumeError, match=words):
        volproc.store(array, tmp_path / "a.zarr", **how, **HERE)


def test_another_shape_needs_its_voxel_size(image, tmp_path):
    part = image.dask()[:7]
    with pytest.raises(VolumeError, match=r"shape \(7, 70, 90\).*give voxel_nm"):
        volproc.store(part, tmp_path / "b.zarr", like=image, **HERE)
    made = volproc.store(part, tmp_path / "b.zarr", like=image, voxel_nm=(50, 10, 20), **HERE)
    assert made.shape == (7, 70, 90)


SCRIPT = """
import sys, time
import numpy as np
import volproc
from volproc.stages.store import stage

stage.block_and_shard = lambda shape, chunks, *, stored, itemsize: (stored, stored)

def slowly(block):
    with open(sys.argv[3], "a") as log:
        log.write("x")
    time.sleep(float(sys.argv[4]))
    return block // 2

if __name__ == "__main__":
    lazy = volproc.open_volume(sys.argv[1]).dask(chunks=(32, 128, 128))
    lazy = lazy.map_blocks(slowly, dtype="u1", meta=np.empty((0, 0, 0), "u1"))
    serial = volproc.ClusterOptions(kind="serial")
    volproc.store(lazy, sys.argv[2], like=sys.argv[1], cluster=serial)
"""
"""Chunks and blocks of 32 x 128 x 128 voxels, so each block computes one chunk."""


def contents(folder):
    kept = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def test_killed_and_called_again_it_ends_with_the_same_bytes(tmp_path):
    """Another process, which makes the array anew: dask names it the same, so it goes on."""
    values = np.random.default_rng(0).integers(0, 255, (64, 200, 300)).astype("u1")
    image = volproc.store(values, tmp_path / "a.zarr", voxel_nm=(50, 10, 10), **HERE)
    (tmp_path / "script.py").write_text(SCRIPT)
    log = tmp_path / "log"

    def start(out, seconds):
        args = [image.info.url, str(tmp_path / out / "b.zarr"), str(log), str(seconds)]
        return subprocess.Popen([sys.executable, str(tmp_path / "script.py"), *args])

    assert start("whole", 0).wait() == 0
    assert len(log.read_text()) == 12
    log.unlink()
    running = start("out", 0.5)
    while not (log.exists() and len(log.read_text()) >= 3):
        assert running.poll() is None, "ended before it was killed"
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert start("out", 0).wait() == 0
    # at most the block that was in work, and one whose record was not yet written, are done twice
    assert 12 < len(log.read_text()) <= 14
    assert contents(tmp_path / "out/b.zarr") == contents(tmp_path / "whole/b.zarr")

"""`volproc.array.label` gives the ids of the stage, whatever chunks it is given."""

import dask
import dask.array as da
import numpy as np
import pytest
from dask.core import keys_in_tasks

import volproc.array
from volproc import labels
from volproc.config.cluster import ClusterOptions
from volproc.errors import ConfigError, VolumeError


@pytest.fixture
def mask():
    rng = np.random.default_rng(2)
    blobs = rng.random((12, 18, 22)).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return (blobs > 0.72).astype(np.uint8) * rng.integers(1, 4, blobs.shape, dtype=np.uint8)


CHUNKS = [(24, 36, 44), (7, 9, 13), ((3, 21), (36,), (10, 30, 4))]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"connectivity": 6},
        {"connectivity": 18, "border": "drop"},
        {"classes": True},
        {"largest": 4},
        {"min_volume_um3": 0.002, "voxel_nm": (50, 50, 50)},
        {"max_elongation": 2, "voxel_nm": (50, 20, 20)},
        {"block": (5, 11, 44)},
    ],
    ids=str,
)
def test_it_has_the_ids_of_the_stage(mask, tmp_path, options):
    given = {"voxel_nm": (50, 50, 50), **options}
    made = labels.label(mask, tmp_path / "l.zarr", **given)
    assert made.objects > 0
    for chunks in CHUNKS:
        found = volproc.array.label(da.from_array(mask, chunks=chunks), **options)
        assert found.dtype == np.uint32
        assert np.array_equal(found.compute(scheduler="threads"), made.volume[...])


@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_probabilities_are_cut_as_the_stage_cuts_them(tmp_path, threshold):
    rng = np.random.default_rng(0)
    for values in (
        rng.integers(0, 256, (9, 10, 11), dtype=np.uint8),
        rng.random((9, 10, 11), "f4"),
    ):
        out = tmp_path / f"{values.dtype}.zarr"
        made = labels.label(values, out, voxel_nm=(1, 1, 1), threshold=threshold, connectivity=6)
        array = da.from_array(values, chunks=(4, 10, 5))
        found = volproc.array.label(array, threshold=threshold, connectivity=6)
        assert np.array_equal(found.compute(), made.volume[...])


def test_a_volume_is_taken_as_it_is(save_volume, mask, tmp_path):
    volume = save_volume("m.zarr", mask, voxel_nm=(50, 50, 50))
    made = labels.label(volume, tmp_path / "l.zarr", min_volume_um3=0.002)
    found = volproc.array.label(volume, min_volume_um3=0.002)
    assert np.array_equal(found.compute(), made.volume[...])


def test_nothing_gives_nothing_and_a_mask_of_ones_is_no_probability():
    empty = da.zeros((6, 6, 6), chunks=3, dtype="uint8")
    assert not volproc.array.label(empty, largest=3).compute().any()
    with pytest.raises(VolumeError, match="set threshold = 0"):
        volproc.array.label(empty + 1, threshold=0.5).compute()


def test_a_prediction_of_low_values_is_no_mask_of_classes(noise, tiny_model, tmp_path):
    nm = (50, 50, 50)
    lazy = volproc.array.predict(noise[:12, :20, :20], str(tiny_model), voxel_nm=nm)
    lazy = lazy.map_blocks(lambda block: block % 10, name=f"predict-{lazy.name}", dtype="u1")
    assert 0 < lazy.max().compute() < 16
    assert not volproc.array.label(lazy, threshold=0.5).compute().any()
    serial = ClusterOptions(kind="serial")
    stored = volproc.store(lazy, tmp_path / "p.zarr", voxel_nm=nm, cluster=serial)
    assert not volproc.array.label(stored, threshold=0.5).compute().any()
    with pytest.raises(VolumeError, match="set threshold = 0"):
        volproc.array.label(lazy + 0, threshold=0.5).compute()


def test_tasks_per_block_do_not_grow_with_the_volume():
    tasks = []
    for n in (2, 6):
        found = volproc.array.label(da.ones((8 * n,) * 3, chunks=8, dtype=bool))
        tasks.append(len(found.dask.layers[found.name]) / found.npartitions)
    assert tasks[1] <= tasks[0] < 9


def test_the_chunks_of_a_mask_are_let_go_after_one_look(mask):
    """What is kept for the second look is a bit a voxel; the caller's chunks are computed once."""
    computed = []

    def noted(block, block_id=None):
        computed.append(block_id)
        return block

    array = da.from_array(mask, chunks=12).map_blocks(noted, dtype="uint8", meta=mask[:0])
    found = volproc.array.label(array)
    found.compute(scheduler="sync")
    assert len(computed) == len(set(computed)) == array.npartitions
    layer = found.dask.layers[found.name]
    chunks = set(dask.core.flatten(array.__dask_keys__()))
    users = [key for key, task in layer.items() if keys_in_tasks(chunks, [task])]
    assert len(users) == array.npartitions


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_volume_um3": 1}, r"min_volume_um3 needs voxel_nm=\(z, y, x\)"),
        ({"keep_ids": True}, "has no keep_ids: volproc.labels.filter has"),
        ({"image_grid": True}, "has no image_grid: volproc.label has"),
        ({"smallest": 3}, "smallest"),
    ],
)
def test_what_it_cannot_do_is_refused_when_it_is_called(options, words):
    with pytest.raises(ConfigError, match=words):
        volproc.array.label(da.ones((4, 4, 4), dtype=bool), **options)


@pytest.mark.dask
def test_it_runs_on_a_cluster_of_the_users_own(mask, dask_engine):
    array = da.from_array(mask, chunks=(12, 18, 22))
    found = volproc.array.label(array)
    expected = found.compute(scheduler="sync")
    assert np.array_equal(dask_engine.client.compute(found).result(), expected)

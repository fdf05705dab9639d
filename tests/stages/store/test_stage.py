"""Any dask array becomes a volume, block by block, and nothing of it is computed in vain."""

import dask.array as da
import numpy as np
import pytest

from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import MemoryLimitError, OutputError, VolprocError
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.store import stage
from volproc.stages.store.stage import plan_store, run_store
from volproc.volume.store import open_volume

NM = parse_voxel_nm((50, 10, 10))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 32 x 128 x 128 voxels, so that small arrays have several."""

    def cut(shape, chunks, *, stored, itemsize):
        return stored, stored

    monkeypatch.setattr(stage, "block_and_shard", cut)


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(0, 255, (40, 140, 300)).astype(np.uint8)


@pytest.fixture
def stored(tmp_path):
    def run(array, name="out", *, kind="image", runner=None, **how):
        plan = plan_store(array, str(tmp_path / f"{name}.zarr"), kind=kind, voxel_nm=NM, **how)
        return run_store(plan, runner or Runner(SerialEngine(), tmp_path / f"{name}-ledger"))

    return run


def test_it_is_a_finished_volume_with_its_pyramid(values, stored):
    volume = stored(da.from_array(values, chunks=(13, 50, 300)) // 2, corner_nm=(7.0, 8.0, 9.0))
    assert np.array_equal(volume[...], values // 2)
    again = open_volume(volume.info.url)
    assert [level.shape for level in again.levels] == [(40, 140, 300), (40, 70, 150)]
    assert again.voxel_nm == NM
    np.testing.assert_allclose(again.info.corner_nm, (7, 8, 9))
    assert again.info.provenance["finished"]


def files(folder):
    kept = (path for path in folder.rglob("c/**/*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in kept}


@pytest.mark.dask
def test_workers_write_the_same_files(values, stored, tmp_path, dask_runner):
    array = da.from_array(values, chunks=(13, 50, 300)).map_blocks(lambda block: block // 2)
    stored(array, "here")
    stored(array, "there", runner=dask_runner)
    here, there = (
        {
            path.relative_to(root): path.read_bytes()
            for path in root.rglob("c/**/*")
            if path.is_file()
        }
        for root in (tmp_path / "here.zarr", tmp_path / "there.zarr")
    )
    assert here == there
    assert here
    assert not list(tmp_path.rglob("array.pickle"))


@pytest.mark.parametrize(
    ("array", "kind", "dtype", "expected"),
    [
        (np.array([0, 1, 2, 0], bool), "mask", "uint8", [0, 255, 255, 0]),
        (np.array([0, 1, 2, 0], ">i2"), "mask", "uint8", [0, 255, 255, 0]),
        (np.array([0, 1, 2, 0], "i4"), "labels", "uint32", [0, 1, 2, 0]),
        (np.array([0, 1, 2**40, 0], "i8"), "labels", "uint64", [0, 1, 2**40, 0]),
        (np.array([0, 1, 1, 0], bool), "labels", "uint8", [0, 1, 1, 0]),
        (np.array([0, -1.5, 2, 0], ">f4"), "image", "float32", [0, -1.5, 2, 0]),
        (np.array([0, 1, 700, 0], "u2"), "image", "uint16", [0, 1, 700, 0]),
    ],
)
def test_each_kind_has_its_type(stored, array, kind, dtype, expected):
    volume = stored(da.from_array(array[None, None]), kind=kind)
    assert volume.info.kind == ("labels" if kind == "labels" else "image")
    assert volume.dtype == dtype
    assert volume[0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("array", "kind", "words"),
    [
        (np.zeros((2, 2, 2), bool), "image", "bool is no image; give kind='mask'"),
        (np.zeros((2, 2, 2), "f4"), "labels", "float32 is no labels; .*astype"),
        (np.zeros((2, 2, 2), "c8"), "image", "complex64 is no image; take its absolute"),
        (np.full((2, 2, 2), -1), "labels", "holds values below 0"),
        (np.full((2, 2, 2), np.nan), "image", "holds NaN or infinite voxels"),
    ],
)
def test_what_is_no_such_kind_is_refused(stored, array, kind, words, tmp_path):
    with pytest.raises(VolprocError, match=words):
        stored(da.from_array(array), kind=kind)
    assert not (tmp_path / "out.zarr/0/c").exists()


def test_a_block_computes_its_own_chunks_only(values, stored):
    computed = []

    def noted(block, block_info=None):
        computed.append(block_info[0]["chunk-location"])
        return block

    array = da.from_array(values, chunks=(32, 128, 128))
    stored(array.map_blocks(noted, dtype="uint8", meta=values[:0]))
    assert len(computed) == len(set(computed)) == array.npartitions


def broken_after(count):
    """A graph that fails once so many chunks were computed, as a kill would end it."""
    left = [count]

    def one(block, block_info=None):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return block + 1

    return one


def test_it_goes_on_where_it_stopped(values, stored, tmp_path):
    array = da.from_array(values, chunks=(32, 128, 128))

    def made(function):
        return array.map_blocks(function, name="plus-one", dtype="uint8", meta=values[:0])

    with pytest.raises(KeyboardInterrupt):
        stored(made(broken_after(4)))
    computed = []

    def noted(block, block_info=None):
        computed.append(block_info[0]["chunk-location"])
        return block + 1

    volume = stored(made(noted))
    assert np.array_equal(volume[...], values + 1)
    assert len(computed) == array.npartitions - 4


def test_a_finished_one_is_not_computed_again_and_another_array_is_refused(
    values, stored, tmp_path
):
    array = da.from_array(values, chunks=(32, 128, 128))
    stored(array + 1)
    before = (tmp_path / "out.zarr/0/c/0/0/0").stat().st_mtime_ns
    stored(array + 1)
    assert (tmp_path / "out.zarr/0/c/0/0/0").stat().st_mtime_ns == before
    with pytest.raises(OutputError, match=r"its array: add-\w+ -> add-\w+"):
        stored(array + 2)
    over = Runner(SerialEngine(), tmp_path / "out-ledger", overwrite=True)
    assert np.array_equal(stored(array + 2, runner=over)[...], values + 2)


def test_its_own_input_is_never_replaced(values, stored, tmp_path):
    volume = stored(da.from_array(values))
    over = Runner(SerialEngine(), tmp_path / "out-ledger", overwrite=True)
    with pytest.raises(OutputError, match=r"holds .*which is read; choose another name"):
        stored(volume.dask() + 1, runner=over)
    assert np.array_equal(open_volume(volume.info.url)[...], values)


def test_memory_that_a_worker_lacks_is_told_before_anything_is_computed(values, stored, tmp_path):
    little = Runner(SerialEngine(worker_bytes=630 * 2**20), tmp_path / "ledger")
    whole = da.from_array(np.zeros((64, 512, 1024), "u1"), chunks=-1)
    with pytest.raises(MemoryLimitError, match="a block of store needs"):
        stored(whole, runner=little)


def test_a_function_that_changes_shapes_is_named(values, stored):
    odd = da.from_array(values, chunks=(32, 128, 128)).map_blocks(lambda b: b[:-1], dtype="uint8")
    with pytest.raises(VolprocError, match=r"have the shape \(31, 128, 128\), which its chunks"):
        stored(odd)


def test_chunks_that_blocks_cut_are_told(values, tmp_path):
    array = da.from_array(values, chunks=(40, 140, 300))
    plan = plan_store(array, str(tmp_path / "a.zarr"), kind="image", voxel_nm=NM)
    assert any("computed 12.0 times each" in note for note in plan.step.notes)

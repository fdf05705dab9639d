import dask.array
import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from dask_image import ndmeasure
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc import ClusterOptions, labels
from volproc.errors import ConfigError, VolprocError, VolumeError

SIZE = {"voxel_nm": (50, 10, 20)}
BLOCK = {"block": (16, 16, 32)}
CORNERS = np.ones((3, 3, 3))


@pytest.fixture
def mask():
    return np.random.default_rng(6).random((24, 40, 48)) < 0.12


def read(found):
    volume = getattr(found, "volume", found)
    return volume.read(volume.info.box)


def theirs(array, chunks=(16, 16, 32)):
    lazy, count = ndmeasure.label(dask.array.from_array(array, chunks=chunks), structure=CORNERS)
    return lazy.compute(scheduler="sync"), int(count.compute(scheduler="sync"))


def same_partition(one, other):
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return pairs.shape[1] == len(np.unique(one)) == len(np.unique(other))


def test_dask_image_finds_the_same_objects(tmp_path, mask):
    found = labels.label(mask, tmp_path / "o.zarr", **SIZE, **BLOCK)
    expected, count = theirs(mask)
    assert found.objects == count
    assert same_partition(read(found), expected)
    lazy = found.dask()
    assert lazy.chunksize == (16, 16, 32)
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), read(found))


@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr array", "zarr path", "ome-zarr path"])
def test_everything_that_holds_voxels(tmp_path, mask, save_volume, kind):
    values = mask.astype("uint8")
    made = zarr.create_array(tmp_path / "plain.zarr", data=values, chunks=(8, 16, 16))
    given_as = {
        "numpy": values,
        "dask": dask.array.from_array(values, chunks=(10, 20, 24)),
        "zarr array": made,
        "zarr path": tmp_path / "plain.zarr",
        "ome-zarr path": save_volume("mask.zarr", values, voxel_nm=SIZE["voxel_nm"]).info.url,
    }[kind]
    found = labels.label(given_as, tmp_path / "o.zarr", **SIZE, **BLOCK)
    expected = labels.label(mask, tmp_path / "expected.zarr", **SIZE)
    np.testing.assert_array_equal(read(found), read(expected))
    assert found.volume.info.voxel_nm == SIZE["voxel_nm"]


def test_statistics_agree_with_dask_image(tmp_path, mask):
    few = mask[:6, :9, :10]  # dask-image's graph grows with objects times blocks
    found = labels.label(few, tmp_path / "o.zarr", block=(4, 5, 10), **SIZE)
    array = read(found)
    index = np.arange(1, found.objects + 1)
    lazy = dask.array.from_array(array, chunks=array.shape)
    centres = ndmeasure.center_of_mass(lazy > 0, lazy, index).compute(scheduler="sync")
    areas = ndmeasure.area(lazy > 0, lazy, index).compute(scheduler="sync")
    for table in (found.table(), labels.statistics(array, **SIZE)):
        assert table["id"].tolist() == index.tolist()
        np.testing.assert_array_equal(table["voxels"], areas)
        written = np.stack([table[f"centroid_{axis}"] for axis in "zyx"], axis=1)
        np.testing.assert_allclose(written, centres, rtol=1e-6)
    table = pd.DataFrame(found.table())
    assert table["touches_border"].dtype == bool
    pd.testing.assert_frame_equal(table, pd.read_csv(found.table_url), check_dtype=False)


def test_filter_keeps_ids_or_numbers_them(tmp_path, mask):
    everything = labels.label(mask, tmp_path / "o.zarr", **SIZE)
    table = everything.table()
    large = table["id"][table["voxels"] >= 5]
    volume = 5 * 50 * 10 * 20 * 1e-9
    kept = labels.filter(everything.volume.info.url, tmp_path / "k.zarr", min_volume_um3=volume)
    array = read(everything)
    np.testing.assert_array_equal(read(kept), np.where(np.isin(array, large), array, 0))
    assert kept.table()["id"].tolist() == large.tolist()
    assert kept.reasons == {"min_volume_um3": everything.objects - len(large)}
    dense = labels.filter(
        everything.volume.info.url, tmp_path / "d.zarr", keep_ids=False, min_volume_um3=volume
    )
    expected = np.zeros(everything.objects + 1, dtype=int)
    expected[large] = np.arange(1, len(large) + 1)
    np.testing.assert_array_equal(read(dense), expected[array])


@settings(max_examples=8)
@given(
    seed=st.integers(0, 99),
    mapping=st.dictionaries(st.sampled_from([0, 1, 7, 2**31]), st.integers(0, 9), max_size=4),
)
def test_relabel_replaces_what_it_is_told(tmp_path_factory, seed, mapping):
    mapping = {old: new for old, new in mapping.items() if old}
    values = np.array([0, 1, 7, 50, 2**31], dtype="uint32")
    array = values[np.random.default_rng(seed).integers(0, 5, (4, 5, 6))]
    out = tmp_path_factory.mktemp("renamed") / "r.zarr"
    renamed = read(labels.relabel(array, out, mapping, **SIZE))
    expected = np.vectorize(lambda v: mapping.get(int(v), int(v)))(array)
    np.testing.assert_array_equal(renamed, expected)


def test_relabel_numbers_in_the_order_of_first_voxels(tmp_path):
    array = np.array([[[0, 9, 9, 4, 0, 9, 2**40]]], dtype="uint64")
    numbered = labels.relabel(array, tmp_path / "r.zarr", **SIZE)
    assert read(numbered).tolist() == [[[0, 1, 1, 2, 0, 1, 3]]]
    assert numbered.info.dtype == "uint32"


def test_ids_beyond_uint32_stay(tmp_path):
    array = np.array([[[0, 2**40, 5, 2**64 - 1]]], dtype="uint64")
    kept = labels.filter(array, tmp_path / "k.zarr", **SIZE)
    assert kept.volume.info.dtype == "uint64"
    np.testing.assert_array_equal(read(kept), array)
    assert kept.table()["id"].tolist() == [2**40, 5, 2**64 - 1]
    assert labels.statistics(array, **SIZE)["id"].tolist() == [5, 2**40, 2**64 - 1]


def test_classes(tmp_path):
    array = np.array([[[1, 2, 2, 0, 1, 1]]], dtype="uint8")
    found = labels.label(array, tmp_path / "c.zarr", classes=True, **SIZE)
    assert read(found).tolist() == [[[1, 2, 2, 0, 3, 3]]]
    assert found.table()["value"].tolist() == [1, 2, 1]


def test_no_objects_are_an_empty_table(tmp_path):
    found = labels.label(np.zeros((3, 4, 5), dtype=bool), tmp_path / "o.zarr", **SIZE)
    assert found.objects == 0
    assert len(found.table()["volume_um3"]) == 0
    assert len(labels.statistics(np.zeros((3, 4, 5), dtype="uint8"), **SIZE)["id"]) == 0


def test_what_cannot_be_labelled_is_told(tmp_path):
    out = tmp_path / "o.zarr"
    cube = np.ones((2, 2, 2), dtype="uint8")
    with pytest.raises(VolumeError, match=r"states no voxel size; give voxel_nm=\(z, y, x\)"):
        labels.label(cube, out)
    with pytest.raises(VolumeError, match=r"array of z, y and x, got ndarray of shape \(2, 2\)"):
        labels.label(cube[0], out, **SIZE)
    with pytest.raises(VolprocError, match="not a number"):
        labels.label(np.full((2, 2, 2), np.nan), out, **SIZE)
    with pytest.raises(VolprocError, match="below 0"):
        labels.relabel(-cube.astype("int8"), out, {1: 2}, **SIZE)
    with pytest.raises(VolumeError, match="has -1, expected whole numbers from 0"):
        labels.relabel(cube, out, {1: -1}, **SIZE)
    with pytest.raises(ConfigError, match="unknown key min_volume; did you mean"):
        labels.label(cube, out, min_volume=3, **SIZE)
    with pytest.raises(ConfigError, match="lives in this process"):
        labels.label(cube, out, cluster=ClusterOptions(), **SIZE)


@pytest.mark.dask
def test_a_zarr_mask_on_workers(tmp_path, mask):
    zarr.create_array(tmp_path / "mask.zarr", data=mask.astype("uint8"), chunks=(8, 16, 16))
    how = {"cluster": ClusterOptions(workers=2, worker_memory_gb=2), **SIZE, **BLOCK}
    found = labels.label(tmp_path / "mask.zarr", tmp_path / "o.zarr", **how)
    expected = labels.label(mask, tmp_path / "here.zarr", **SIZE)
    np.testing.assert_array_equal(read(found), read(expected))


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({7: 8}, [2**53, 2**53 + 1, 2**53 + 3, 8, 2**64 - 1]),
        ({7: 2**64 - 1}, [2**53, 2**53 + 1, 2**53 + 3, 2**64 - 1, 2**64 - 1]),
        ({2**53: 2**53 + 1}, [2**53 + 1, 2**53 + 1, 2**53 + 3, 7, 2**64 - 1]),
        ({2**53 + 1: 0}, [2**53, 0, 2**53 + 3, 7, 2**64 - 1]),
        ({2**64 - 1: 2**63}, [2**53, 2**53 + 1, 2**53 + 3, 7, 2**63]),
        ({2**64 - 1: 1, 5: 6}, [2**53, 2**53 + 1, 2**53 + 3, 7, 1]),
        ({}, [2**53, 2**53 + 1, 2**53 + 3, 7, 2**64 - 1]),
    ],
)
def test_ids_are_whole_numbers_of_64_bits(tmp_path, mapping, expected):
    """seung-lab/connected-components-3d#143, scalableminds/webknossos#6317."""
    array = np.array([[[2**53, 2**53 + 1, 2**53 + 3, 7, 2**64 - 1, 0]]], "uint64")
    renamed = read(labels.relabel(array, tmp_path / "r.zarr", mapping, **SIZE))
    assert renamed.ravel().tolist() == [*expected, 0]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64"])
def test_small_ids_become_large_ones(tmp_path, dtype):
    array = np.array([[[0, 1, 1]]], dtype)
    renamed = read(labels.relabel(array, tmp_path / "r.zarr", {1: 2**64 - 1}, **SIZE))
    assert renamed.ravel().tolist() == [0, 2**64 - 1, 2**64 - 1]


ONES = np.ones((2, 2, 2), "uint8")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (ONES.astype("complex64"), "holds complex64"),
        (ONES.astype(object), "holds object"),
        (ONES.astype("U1"), "holds <U1"),
        (ONES.astype("M8[s]"), "holds datetime64"),
        (np.zeros((2, 2, 2), "u1,u1"), "holds .*expected bool, whole numbers or floats"),
        (np.ma.masked_equal(ONES, 1), r"is masked; .* array\.filled\(0\)"),
        (dask.array.ma.masked_equal(dask.array.from_array(ONES), 1), "is masked"),
        (torch.ones((2, 2, 2), dtype=torch.uint8), r"torch\.uint8.*numpy\.asarray"),
        (ONES * 255.0, "floats from 255 to 255"),
        (np.where(ONES, np.inf, 0), "floats from inf to inf"),
        (ONES.tolist(), "got list of shape"),
        (dask.array.from_array(ONES)[dask.array.from_array(ONES) > 0], r"shape \(nan,\)"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_arrays_that_hold_no_mask_are_told(tmp_path, array, said):
    """Masked arrays lose their mask in numpy.asarray; dask/dask-image#29; tensors of torch."""
    with pytest.raises(VolprocError, match=said):
        labels.label(array, tmp_path / "o.zarr", **SIZE)


def test_bytes_in_the_other_order_are_the_same_mask(tmp_path, mask):
    swapped = mask.astype(">u2")
    found = labels.label(swapped, tmp_path / "o.zarr", **SIZE)
    assert found.objects == labels.label(mask, tmp_path / "e.zarr", **SIZE).objects


@pytest.mark.parametrize("lazy", [dask.array.from_zarr, lambda at: dask.array.from_zarr(at) + 0])
def test_a_lazy_array_whose_source_changed_is_labelled_anew(tmp_path, lazy):
    """A cell of a notebook that is run again after the mask changed."""
    path = str(tmp_path / "mask.zarr")
    source = zarr.create_array(path, data=np.zeros((8, 8, 8), "uint8"), chunks=(4, 4, 4))
    source[1, 1, 1] = 1
    assert labels.label(lazy(path), tmp_path / "o.zarr", **SIZE).objects == 1
    source[5, 5, 5] = 1
    assert labels.label(lazy(path), tmp_path / "o.zarr", **SIZE).objects == 2


def test_the_same_bytes_in_another_type_are_another_array(tmp_path):
    array = np.array([[[1, 0, 1, 0]]], "uint8")
    assert labels.label(array, tmp_path / "o.zarr", **SIZE).objects == 2
    assert labels.label(array.view("uint16"), tmp_path / "o.zarr", **SIZE).objects == 1

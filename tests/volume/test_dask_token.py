"""Arrays in memory are known by their values, dask arrays by all that they read."""

import dask.array as da
import numpy as np
import pytest
import zarr

from volproc.volume.dask_token import token_of


def test_values_type_and_shape_count():
    values = np.arange(24, dtype="uint8").reshape(2, 3, 4)
    assert token_of(values) == token_of(values.copy())
    others = [values + 1, values.astype("int8"), values.reshape(4, 3, 2)]
    assert len({token_of(one) for one in [values, *others]}) == 4


def test_a_dask_array_of_memory_is_known():
    values = np.arange(24, dtype="uint8").reshape(2, 3, 4)
    assert token_of(da.from_array(values) + 1) == token_of(da.from_array(values) + 1)
    assert token_of(da.from_array(values) + 1) != token_of(da.from_array(values) + 2)


def test_what_a_dask_array_reads_from_zarr_is_looked_at(tmp_path):
    path = str(tmp_path / "a.zarr")
    array = zarr.create_array(path, shape=(8, 8, 8), dtype="u1", chunks=(4, 4, 4))
    array[...] = 1
    before = token_of(da.from_zarr(path) + 1)
    assert token_of(da.from_zarr(path) + 1) == before
    array[0, 0, 0] = 7
    assert token_of(da.from_zarr(path) + 1) != before


def test_a_file_whose_path_is_in_the_graph_is_looked_at(tmp_path):
    path = tmp_path / "a.npy"

    def lazy():
        one = da.from_delayed(dask_load(str(path)), shape=(2, 3), dtype="int64")
        return one[None]

    import dask

    dask_load = dask.delayed(np.load, pure=True)
    np.save(path, np.zeros((2, 3), dtype="int64"))
    before = token_of(lazy())
    np.save(path, np.ones((2, 3), dtype="int64")[:, :2])
    assert token_of(lazy()) != before


class Unknown:
    """Gives boxes when indexed; where they come from nobody knows."""

    shape, dtype, ndim = (4, 4, 4), np.dtype("u1"), 3

    def __getitem__(self, box):
        return np.zeros((4, 4, 4), "u1")[box]


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: da.from_array(a, name=False)])
def test_what_is_not_known_is_never_taken_for_the_same(wrap):
    array = Unknown()
    assert token_of(wrap(array)) != token_of(wrap(array))

"""What all blocks need is computed once, and the result is the same."""

import dask.array as da
import numpy as np
import pytest

import volproc.array
from volproc.array.shared_results import settled
from volproc.errors import VolumeError

VALUES = np.random.default_rng(0).integers(0, 255, (12, 16, 20)).astype("u1")


def counted(chunks=(3, 4, 5)):
    """An array, and the list of its chunks that were computed."""
    seen = []

    def noted(block, block_info=None):
        seen.append(block_info[0]["chunk-location"])
        return block

    array = da.from_array(VALUES, chunks=chunks)
    return array.map_blocks(noted, dtype="u1", meta=VALUES[:0]), seen


def by_blocks(array):
    """Each chunk computed by itself, as `store` does."""
    out = np.empty(array.shape, array.dtype)
    for place in np.ndindex(array.numblocks):
        starts = [sum(c[:i]) for c, i in zip(array.chunks, place)]
        box = tuple(slice(a, a + c[i]) for a, c, i in zip(starts, array.chunks, place))
        out[box] = array[box].compute(scheduler="sync")
    return out


def test_a_mean_is_computed_once():
    array, seen = counted()
    ready = settled(array - array.mean())
    assert len(seen) == array.npartitions
    np.testing.assert_allclose(by_blocks(ready), VALUES - VALUES.mean())
    assert len(seen) == 2 * array.npartitions


def test_the_merge_of_labels_is_computed_once():
    array, seen = counted()
    labels = volproc.array.label(array > 128, connectivity=6)
    ready = settled(labels)
    assert len(seen) == array.npartitions
    assert np.array_equal(by_blocks(ready), labels.compute())
    assert len(seen) <= 3 * array.npartitions  # once more here, and once by compute


def test_an_array_whose_blocks_share_nothing_stays_as_it_is():
    array, seen = counted()
    near = array.map_overlap(lambda block: block // 2, depth=1, dtype="u1", meta=VALUES[:0])
    assert settled(array) is array
    assert settled(near) is near
    assert seen == []


def test_what_is_large_is_left_where_it_is(monkeypatch):
    monkeypatch.setattr("volproc.array.shared_results.MAX_BYTES", 1)
    array, _ = counted()
    np.testing.assert_allclose(by_blocks(settled(array - array.mean())), VALUES - VALUES.mean())


@pytest.mark.dask
def test_results_on_a_cluster_are_refused_in_one_line(dask_engine):
    kept = dask_engine.client.persist(da.from_array(VALUES, chunks=4))
    with pytest.raises(VolumeError, match=r"holds results on a cluster \(persist\)"):
        settled(kept)

"""Stores of folders read no more than their files hold."""

import numpy as np
import pytest
import zarr

from volproc.volume.retrying_store import for_zarr


@pytest.mark.parametrize("claim", [(8, 2**40), (0, 2**31)])
def test_an_index_that_claims_too_much_is_an_error_and_takes_no_memory(tmp_path, claim):
    """Numbers 1279 and 3753 of Zarr in scripts/fuzz: room was made for all that it claimed."""
    values = np.arange(64, dtype="u1").reshape(8, 8)
    made = zarr.create_array(
        str(tmp_path / "a"), shape=(8, 8), dtype="u1", chunks=(4, 4), shards=(8, 8)
    )
    made[:] = values
    array = zarr.open_array(for_zarr(str(tmp_path / "a")), mode="r")
    np.testing.assert_array_equal(array[:], values)
    shard = tmp_path / "a/c/0/0"
    content = bytearray(shard.read_bytes())
    # the index is at the end: offset and length of four chunks, and a checksum
    from google_crc32c import value as crc32c

    index = np.frombuffer(content[-68:-4], "<u8").copy()
    index[:2] = claim
    content[-68:-4] = index.tobytes()
    content[-4:] = crc32c(index.tobytes()).to_bytes(4, "little")
    shard.write_bytes(content)
    with pytest.raises(ValueError, match=r"the index of c/0/0 names bytes \d+ to \d+, it has \d+"):
        array[:4, :4]


def test_a_file_that_is_not_there_is_still_absent(tmp_path):
    zarr.create_array(
        str(tmp_path / "a"), shape=(8, 8), dtype="u1", chunks=(4, 4), shards=(8, 8), fill_value=7
    )
    array = zarr.open_array(for_zarr(str(tmp_path / "a")), mode="r")
    assert (array[:4, :4] == 7).all()

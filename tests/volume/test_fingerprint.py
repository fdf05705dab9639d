"""Fingerprints: equal while nothing changes, other after any change of a voxel."""

import os
import shutil
from uuid import uuid4

import numpy as np
import pytest
import zarr

from volproc.volume import fingerprint as module
from volproc.volume.fingerprint import entries, fingerprint, listing
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume


@pytest.fixture(params=["local", "memory"])
def saved(request, tmp_path):
    """A finished volume of two shards, on disk and on another file system."""
    root = str(tmp_path) if request.param == "local" else f"memory://{uuid4().hex}"
    info = new_volume(
        f"{root}/a.zarr", shape=(8, 16, 32), voxel_nm=(50, 50, 50), dtype="uint8",
        kind="labels", chunks=(8, 16, 16), shards=(8, 16, 16),
    )  # fmt: skip
    volume = create_volume(info, step="test", digest="test", version="0")
    volume.write(info.box, np.arange(8 * 16 * 32).reshape(info.shape) % 7)
    return volume.finish()


def test_it_stays_the_same_while_nothing_changes(saved):
    assert open_volume(saved.info.url).fingerprint == saved.fingerprint


def test_an_edit_by_another_program_is_seen(saved):
    before = saved.fingerprint
    array = zarr.open_group(saved.info.url, mode="r+")["0"]
    values = array[...]
    values[values == 3] = 0
    array[...] = values
    assert open_volume(saved.info.url).fingerprint != before


def test_an_edit_that_keeps_the_size_of_its_file_is_seen(tmp_path, save_volume):
    volume = save_volume("b.zarr", np.full((16, 16, 16), 5, "uint8"), kind="labels")
    before = volume.fingerprint
    sizes = sorted((name, size) for name, size, _ in entries(volume.info.url))
    zarr.open_group(volume.info.url, mode="r+")["0"][...] = 9
    assert sorted((name, size) for name, size, _ in entries(volume.info.url)) == sizes
    assert volume.fingerprint != before


def test_a_missing_file_is_seen(tmp_path, save_volume, noise):
    volume = save_volume("b.zarr", noise)
    before = volume.fingerprint
    shutil.rmtree(tmp_path / "b.zarr" / "0" / "c" / "0" / "0")
    assert volume.fingerprint != before


def test_metadata_count_and_moving_a_folder_does_not(tmp_path, save_volume, noise):
    volume = save_volume("b.zarr", noise)
    before = volume.fingerprint
    other = open_volume(volume.info.url, voxel_nm=(40, 10, 10))
    assert other.fingerprint != before
    os.rename(tmp_path / "b.zarr", tmp_path / "moved.zarr")
    assert open_volume(tmp_path / "moved.zarr").fingerprint == before


def test_levels_that_are_links_are_followed(tmp_path, save_volume, noise):
    volume = save_volume("b.zarr", noise)
    os.rename(tmp_path / "b.zarr" / "0", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", tmp_path / "b.zarr" / "0")
    assert len(list(entries(f"{volume.info.url}/0"))) > 1


def test_a_volume_to_come_is_what_it_will_be_made_from():
    info = new_volume("none.zarr", shape=(8, 8, 8), voxel_nm=(50, 50, 50), dtype="uint8")
    one, same, other = (info.with_provenance(recipe={"options": n}) for n in (1, 1, 2))
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


def test_half_written_files_do_not_count(tmp_path):
    (tmp_path / "a").write_text("a")
    before = listing(str(tmp_path))
    (tmp_path / "b.partial").write_text("b")
    assert listing(str(tmp_path)) == before


def test_a_million_files_are_listed_once_and_none_is_opened(monkeypatch):
    """The cost is that of the listing: names, sizes and dates, streamed into a digest."""
    calls = []

    def listed(url):
        calls.append(url)
        return ((f"c/{n}", 100, "1") for n in range(1000))

    monkeypatch.setattr(module, "entries", listed)
    info = new_volume("a.zarr", shape=(800, 800, 800), voxel_nm=(9, 9, 9), dtype="uint8")
    module.content(info)
    assert sorted(calls) == [f"a.zarr/{level.path}" for level in info.levels]

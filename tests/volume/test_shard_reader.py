"""Shards read without zarr: the same voxels, the same refusals."""

import shutil

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, whole_box
from volproc.volume.metadata import new_volume
from volproc.volume.presence import AbsentError
from volproc.volume.shard import MISSING
from volproc.volume.store import create_volume, open_volume

SHAPE = (40, 50, 70)


@pytest.fixture(scope="module", params=["image", "labels", "channels"])
def made(request, tmp_path_factory):
    """A finished volume of many chunks with an empty corner, and its voxels."""
    channels = ("a", "b", "c") if request.param == "channels" else ()
    info = new_volume(
        f"{tmp_path_factory.mktemp('made')}/a.zarr",
        shape=SHAPE,
        voxel_nm=(10, 10, 10),
        dtype="uint32" if request.param == "labels" else "uint8",
        kind="labels" if request.param == "labels" else "image",
        channels=channels,
        chunks=(8, 16, 16),
        shards=(16, 32, 32),
        max_levels=1,
    )
    voxels = np.random.default_rng(3).integers(0, 250, (*(3 for _ in channels[:1]), *SHAPE))
    voxels[..., :20, :30, :] = 0
    volume = create_volume(info, step="made", digest="d", version="0")
    for block in Tiling(shape=SHAPE, core=info.write_unit):
        volume.write(block.core, voxels[(..., *block.core.slices)])
    return volume.finish().info.url, voxels


def spans(n):
    return st.tuples(st.integers(0, n), st.integers(0, n)).filter(lambda s: s[0] < s[1])


@settings(max_examples=40)
@given(ends=st.tuples(*map(spans, SHAPE)), channel=st.sampled_from([None, 0, 2]))
def test_a_box_is_what_was_written_and_what_zarr_reads(made, ends, channel):
    url, voxels = made
    volume, box = open_volume(url), Box(*zip(*ends, strict=True))
    named = () if channel is None or voxels.ndim == 3 else (channel,)
    found = volume.read(box, channel=named[0] if named else None)
    there = (*named, ..., *box.slices)
    assert found.dtype == volume.info.dtype
    assert np.array_equal(found, voxels[there])
    assert np.array_equal(found, zarr.open_array(f"{url}/0")[there])


def test_zarr_is_not_asked_for_voxels(made, monkeypatch):
    url, voxels = made
    volume = open_volume(url)
    monkeypatch.setattr(zarr.Array, "__getitem__", None)
    assert np.array_equal(volume.read(whole_box(SHAPE)), voxels)


@pytest.fixture
def copied(made, tmp_path):
    """A copy to damage: the volume, and the file of its last shard."""
    shutil.copytree(made[0], tmp_path / "a.zarr")
    return open_volume(tmp_path / "a.zarr"), max((tmp_path / "a.zarr" / "0" / "c").rglob("*"))


def with_index(content, counts, change):
    """The file with its index changed, its checksum right."""
    end = len(content) - 4 - 16 * counts
    index = np.frombuffer(content[end:-4], "<u8").copy()
    change(index)
    listed = index.tobytes()
    return content[:end] + listed + google_crc32c.value(listed).to_bytes(4, "little")


def longer(index):
    index[np.flatnonzero(index != MISSING)[-1]] += 10**12


def shorter(index):
    index[np.flatnonzero(index != MISSING)[-1]] -= 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content, _: content[:-1], "checksum|names bytes"),
        (lambda content, _: content[:3], "checksum"),
        (lambda content, n: with_index(content, n, longer), "names bytes"),
        (lambda content, n: with_index(content, n, shorter), ""),
    ],
    ids=["a byte less", "cut", "beyond the end", "a chunk cut"],
)
def test_a_damaged_shard_is_refused(copied, change, said):
    volume, file = copied
    chunks = max(1, len(volume.info.channels)) * 2 * 2 * 2
    file.write_bytes(change(file.read_bytes(), chunks))
    with pytest.raises(VolumeError, match=f"cannot read .*{said}") as raised:
        volume.read(volume.info.box)
    assert not isinstance(raised.value, AbsentError)


@pytest.mark.parametrize("what", ["gone", "empty"])
def test_a_shard_that_is_not_there_is_no_background(copied, what, monkeypatch):
    monkeypatch.setattr("volproc.volume.presence.sleep", lambda _: None)
    volume, file = copied
    file.unlink()
    if what == "empty":
        file.touch()
    with pytest.raises(AbsentError, match=f"was written and is {what}"):
        volume.read(volume.info.box)

import os
import pickle
import shutil
from uuid import uuid4

import fsspec
import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from volproc.errors import VolumeError
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.output import pyramid_steps
from volproc.volume import metadata, presence
from volproc.volume.creation import write_metadata
from volproc.volume.metadata import new_volume
from volproc.volume.store import Volume, create_volume, open_volume

SHAPE = (20, 40, 50)
CHUNKS = {"0.5": {"chunks": (8, 8, 8), "shards": (16, 16, 32)}, "0.4": {"chunks": (16, 16, 32)}}
KINDS = [(v, k, c) for v in CHUNKS for k in ("image", "labels") for c in ((), ("x", "y"))]
KINDS = [each for each in KINDS if each[1:] != ("labels", ("x", "y"))]


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were made; no time passes."""
    made = []
    monkeypatch.setattr(presence, "sleep", made.append)
    return made


def begun(url, version="0.5", kind="image", channels=()):
    info = new_volume(
        url,
        shape=SHAPE,
        voxel_nm=parse_voxel_nm((50, 10, 10)),
        dtype="uint8",
        kind=kind,
        channels=channels,
        max_levels=1,
        version=version,
        **CHUNKS[version],
    )
    return create_volume(info, step="test", digest="d", version="0")


def written(url, *how, values=1):
    volume = begun(url, *how)
    volume.write(volume.info.box, values)
    return volume


def shards(folder):
    names = [p for p in (folder / "0").rglob("*") if p.is_file()]
    return sorted(p for p in names if p.name[0] != "." and p.name != "zarr.json")


def grown_old(folder):
    for name in ("zarr.json", ".zattrs"):
        if (folder / name).exists():
            os.utime(folder / name, (1e9, 1e9))


@pytest.mark.parametrize(("version", "kind", "channels"), KINDS)
@pytest.mark.parametrize("values", [0, 7])
@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_every_file_is_written_and_each_one_that_is_gone_is_an_error(
    tmp_path, pauses, version, kind, channels, values, damage
):
    folder = tmp_path / "a.zarr"
    volume = written(str(folder), version, kind, channels, values=values).finish()
    grown_old(folder)
    files = shards(folder)
    per_channel = len(channels) if version == "0.4" and channels else 1
    assert len(files) == 2 * 3 * 2 * per_channel
    assert (open_volume(folder).read(volume.info.box) == values).all()
    for file in files:
        content = file.read_bytes()
        if damage == "gone":
            file.unlink()
        else:
            file.write_bytes(b"")
        said = rf"{file} was written and is {damage}: .*volproc check --repair {folder}`"
        with pytest.raises(VolumeError, match=said):
            open_volume(folder).read(volume.info.box)
        with pytest.raises(VolumeError, match=damage):
            open_volume(folder).dask().compute(scheduler="sync")
        file.write_bytes(content)
    assert (open_volume(folder).read(volume.info.box) == values).all()
    assert pauses == []  # an old volume is not waited for


def test_in_a_store_of_objects_too(pauses):
    store, name = fsspec.filesystem("memory"), f"/{uuid4().hex}"
    volume = written(f"memory:/{name}/a.zarr").finish()
    again = pickle.loads(pickle.dumps(volume))
    assert (again.read(volume.info.box) == 1).all()
    store.rm(f"{name}/a.zarr/0/c/1/0/0")
    with pytest.raises(VolumeError, match=r"a.zarr/0/c/1/0/0 was written and is gone"):
        again.read(volume.info.box)
    store.rm(name, recursive=True)


@pytest.mark.parametrize("finished", [False, True])
def test_a_file_that_comes_late_is_waited_for(tmp_path, monkeypatch, finished):
    folder = tmp_path / "a.zarr"
    volume = written(str(folder))
    if finished:
        volume = volume.finish()
    file, hidden = shards(folder)[3], tmp_path / "hidden"
    file.rename(hidden)
    waited = []

    def seen_after_40_s(seconds):
        waited.append(seconds)
        if sum(waited) >= 40 and hidden.exists():
            hidden.rename(file)

    monkeypatch.setattr(presence, "sleep", seen_after_40_s)
    assert (volume.read(volume.info.box) == 1).all()
    assert 40 <= sum(waited) <= 60


def test_the_wait_is_bounded(tmp_path, pauses):
    volume = written(f"{tmp_path}/a.zarr")
    shards(tmp_path / "a.zarr")[0].unlink()
    with pytest.raises(VolumeError, match=r"c/0/0/0 was written and is gone"):
        volume.read(volume.info.box)
    assert sum(pauses) == 60


def test_a_level_is_not_made_from_one_that_lacks_a_file(tmp_path, runner, pauses, monkeypatch):
    monkeypatch.setattr(metadata, "MIN_LEVEL", 8)
    info = new_volume(
        f"{tmp_path}/a.zarr",
        shape=(32, 32, 32),
        voxel_nm=parse_voxel_nm((10, 10, 10)),
        dtype="uint8",
        chunks=(8, 8, 8),
        shards=(16, 16, 16),
    )
    volume = create_volume(info, step="test", digest="d", version="0")
    volume.write(info.box, 3)
    (tmp_path / "a.zarr/0/c/1/1/1").unlink()
    (step, *_) = pyramid_steps(info, digest="d", name="a")
    with pytest.raises(VolumeError, match=r"c/1/1/1 was written and is gone"):
        step.task.load(step.blocks[len(step.blocks) - 1])


def test_volumes_of_before_stay_readable(tmp_path, pauses):
    """Their images had all files, their labels none for background."""
    for kind in ("image", "labels"):
        volume = written(f"{tmp_path}/{kind}.zarr", "0.5", kind)
        record = {k: v for k, v in volume.info.provenance.items() if k != "complete"}
        old = Volume(volume.info.__class__(**{**vars(volume.info), "provenance": record})).finish()
        grown_old(tmp_path / f"{kind}.zarr")
        shards(tmp_path / f"{kind}.zarr")[0].unlink()
        assert "complete" not in open_volume(old.info.url).info.provenance
    assert 0 < open_volume(tmp_path / "labels.zarr").read(volume.info.box).mean() < 1
    with pytest.raises(VolumeError, match="is gone"):
        open_volume(tmp_path / "image.zarr").read(volume.info.box)


def test_chunks_of_others_may_be_missing(tmp_path, pauses):
    volume = written(f"{tmp_path}/a.zarr")
    write_metadata(volume.info.__class__(**{**vars(volume.info), "provenance": {}}))
    shards(tmp_path / "a.zarr")[0].unlink()
    other = open_volume(tmp_path / "a.zarr")
    assert 0 < other.read(other.info.box).mean() < 1


def test_reading_asks_the_store_as_often_as_zarr_alone(tmp_path, monkeypatch):
    written(f"{tmp_path}/a.zarr").finish()
    asked = []
    get = LocalStore.get

    async def counted(self, key, *how, **more):
        asked.append(key)
        return await get(self, key, *how, **more)

    monkeypatch.setattr(LocalStore, "get", counted)
    again = open_volume(tmp_path / "a.zarr")
    again.select(again.info.box.slices)
    ours = [key for key in asked if "/c/" in key]
    asked.clear()
    zarr.open_array(f"{tmp_path}/a.zarr/0", mode="r")[:]
    assert sorted(ours) == sorted(f"0/{key}" for key in asked if key.startswith("c/"))


@pytest.mark.parametrize("change", ["shards", "chunks", "dtype", "shape", "a level less"])
def test_a_volume_cut_otherwise_is_made_anew(tmp_path, change):
    """Same digest, another program: what this one writes would lie in the wrong places."""
    url = f"{tmp_path}/a.zarr"
    old = {"shape": (64, 64, 64), "dtype": "uint8", "chunks": (8, 8, 8), "shards": (16, 16, 16)}
    other = {
        "shards": {"shards": (32, 32, 32)},
        "chunks": {"chunks": (16, 16, 16)},
        "dtype": {"dtype": "uint16"},
        "shape": {"shape": (48, 64, 64)},
        "a level less": {},
    }

    def begin(**how):
        info = new_volume(url, voxel_nm=parse_voxel_nm((8, 8, 8)), max_levels=1, **how)
        return create_volume(info, step="x", digest="d", version="0")

    first = begin(**old)
    first.write(first.info.box, 1)
    begin(**old)
    assert (first.read(first.info.box) == 1).all()  # taken up as it is
    if change == "a level less":
        shutil.rmtree(f"{url}/0")
    second = begin(**{**old, **other[change]})
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 255, second.info.shape).astype(second.info.dtype)
    second.write(second.info.box, truth)
    assert np.array_equal(open_volume(second.finish().info.url).read(second.info.box), truth)

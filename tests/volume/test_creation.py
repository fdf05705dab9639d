from contextlib import contextmanager
from itertools import count

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from volproc.errors import VolumeError
from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.volume import creation
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

BOTH = pytest.mark.parametrize("version", ["0.4", "0.5"])
WAYS = pytest.mark.parametrize(("old", "new"), [("0.4", "0.5"), ("0.5", "0.4")])


def begin(folder, version, *, name="a.zarr", digest="d", **more):
    info = new_volume(
        str(folder / name),
        shape=(20, 300, 50),
        voxel_nm=parse_voxel_nm((50, 10, 10)),
        chunks=(8, 16, 16),
        shards=(16, 32, 32),
        version=version,
        **{"dtype": "uint16", **more},
    )
    return create_volume(info, step="test", digest=digest, version="0")


def filled(*given, **more):
    """A finished volume of zeros."""
    volume = begin(*given, **more)
    for number, level in enumerate(volume.info.levels):
        volume.write(level.box, 0, level=number)
    return volume.finish()


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_old_volumes_are_zarr_2_with_a_file_per_chunk(tmp_path):
    volume = begin(tmp_path, "0.4")
    unit = Box((0, 0, 0), (16, 32, 32))
    volume.write(unit, np.ones(unit.shape, "uint16"))
    array = zarr.open_array(str(tmp_path / "a.zarr" / "0"), mode="r", zarr_format=2)
    assert array.chunks == (8, 16, 16)
    assert {f"0/{z}/{y}/{x}" for z in (0, 1) for y in (0, 1) for x in (0, 1)} < files(
        tmp_path / "a.zarr"
    )
    assert [codec.codec_id for codec in array.compressors] == ["zstd"]
    assert array.compressors[0].level == 1


@BOTH
def test_each_version_comes_back_as_what_it_was_written_as(tmp_path, version):
    volume = begin(tmp_path, version)
    values = np.random.default_rng(0).integers(0, 60_000, (20, 300, 50)).astype("uint16")
    volume.write(volume.info.box, values)
    volume = volume.finish()
    again = open_volume(tmp_path / "a.zarr")
    assert again.info.version == version
    assert np.array_equal(again.read(volume.info.box), values)
    assert again.fingerprint == volume.fingerprint
    assert [level.voxel_nm for level in again.info.levels] == [(50, 10, 10), (50, 20, 20)]


@BOTH
def test_the_same_digest_is_taken_up_again(tmp_path, version):
    volume = filled(tmp_path, version)
    assert begin(tmp_path, version).info.provenance["finished"]
    assert not begin(tmp_path, version).read(volume.info.box).any()
    fresh = begin(tmp_path, version, digest="other")
    assert not fresh.info.provenance["finished"]
    with pytest.raises(VolumeError, match="was written and is gone"):
        fresh.read(volume.info.box)


@WAYS
def test_another_version_leaves_no_file_of_the_first(tmp_path, old, new):
    first = begin(tmp_path, old)
    first.write(first.info.box, np.ones((20, 300, 50), "uint16"))
    first.finish()
    begin(tmp_path, new, digest="other")
    begin(tmp_path / "fresh", new, digest="other")
    assert files(tmp_path / "a.zarr") == files(tmp_path / "fresh" / "a.zarr")


class Killed(Exception):
    pass


@pytest.fixture
def dying(monkeypatch):
    """dying(n): a context in which the nth change of a file does not happen, nor any after it."""

    @contextmanager
    def until(number):
        changes = count(1)

        def mortal(change):
            def checked(*arguments, **options):
                if next(changes) >= number:
                    raise Killed
                return change(*arguments, **options)

            return checked

        with monkeypatch.context() as patched:
            for name in ("set", "delete", "delete_dir"):
                patched.setattr(LocalStore, name, mortal(getattr(LocalStore, name)))
            patched.setattr(creation, "remove_file", mortal(creation.remove_file))
            yield

    return until


@pytest.mark.parametrize("old", [None, "0.4", "0.5"])
@BOTH
def test_killed_at_any_change_while_created_it_is_created_again(tmp_path, dying, old, version):
    """Known as volproc's and never as finished, whatever was changed last."""
    wanted = begin(tmp_path / "wanted", version, digest="new")
    for number in count(1):
        folder = tmp_path / str(number)
        if old:
            first = begin(folder, old, digest="old")
            first.write(first.info.box, np.ones((20, 300, 50), "uint16"))
            first.finish()
        try:
            with dying(number):
                begin(folder, version, digest="new")
        except Killed:
            if old and number % 2:  # the user thinks better of it
                again = begin(folder, old, digest="old")
                again.write(again.info.box, np.ones((20, 300, 50), "uint16"))
                assert open_volume(again.finish().info.url).info.version == old
            begin(folder, version, digest="new")
            assert files(folder) == files(tmp_path / "wanted")
            assert (folder / "a.zarr" / METADATA[version]).read_bytes() == (
                tmp_path / "wanted" / "a.zarr" / METADATA[version]
            ).read_bytes()
        else:
            break
    assert number > 4
    assert wanted.info.provenance["digest"] == "new"


METADATA = {"0.4": ".zattrs", "0.5": "zarr.json"}


@BOTH
def test_labels_are_listed_in_their_images_version(tmp_path, version):
    filled(tmp_path, version)
    for name in ("nuclei", "cells"):
        filled(tmp_path, version, name=f"a.zarr/labels/{name}", kind="labels")
    group = zarr.open_group(str(tmp_path / "a.zarr" / "labels"), mode="r")
    assert group.metadata.zarr_format == (2 if version == "0.4" else 3)
    attributes = dict(group.attrs)
    assert attributes.get("ome", attributes)["labels"] == ["cells", "nuclei"]
    assert open_volume(tmp_path / "a.zarr" / "labels" / "nuclei").info.kind == "labels"


@WAYS
def test_an_image_and_its_labels_have_one_version(tmp_path, old, new):
    filled(tmp_path, old)
    with pytest.raises(VolumeError, match="an image and its labels need one version"):
        begin(tmp_path, new, name="a.zarr/labels/nuclei", kind="labels")
    filled(tmp_path, old, name="a.zarr/labels/nuclei", kind="labels")
    with pytest.raises(VolumeError, match="an image and its labels need one version"):
        begin(tmp_path, new, digest="other")
    assert open_volume(tmp_path / "a.zarr").info.version == old

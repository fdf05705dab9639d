import pickle

import numpy as np
import pytest

from volproc.errors import ConfigError, GridError, VolumeError
from volproc.volume.channels import one_class, voted_classes, votes_of_class
from volproc.volume.fingerprint import fingerprint
from volproc.volume.metadata import new_volume
from volproc.volume.store import Volume, create_volume, open_volume

NAMES = ("a", "b", "c")


@pytest.fixture
def volume(tmp_path):
    def make(names, **how):
        info = new_volume(
            str(tmp_path / "v.zarr"),
            shape=(5, 6, 7),
            voxel_nm=(8, 8, 8),
            dtype="uint8",
            channels=names,
            **how,
        )
        made = create_volume(info, step="test", digest="d", version="1")
        values = np.arange(len(names) * 210, dtype=np.uint8).reshape(-1, 5, 6, 7)
        made.write(info.box, values)
        made.finish()
        return open_volume(info.url), values

    return make


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("name", NAMES)
def test_a_channel_reads_like_a_volume_of_its_own(volume, name, version):
    whole, values = volume(NAMES, version=version)
    one, wanted = whole.channel(name), values[NAMES.index(name)]
    assert one.shape == wanted.shape
    assert np.array_equal(np.asarray(one), wanted)
    assert np.array_equal(one[2, ::-2], wanted[2, ::-2])
    assert np.array_equal(one.dask().compute(), wanted)
    assert np.array_equal(pickle.loads(pickle.dumps(one)).read(one.info.box), wanted)
    assert fingerprint(one.info) != fingerprint(whole.info)
    with pytest.raises(GridError, match="single channels cannot be written"):
        one.write(one.info.box, 0)


def test_the_votes_of_a_class_are_a_volume_of_axes(volume):
    names = ("a x", "a z", "b x", "b z")
    whole, values = volume(names)
    assert voted_classes(whole.info) == ("a", "b")
    mine = Volume(votes_of_class(whole.info, "b", option="o"))
    assert mine.info.channels == ("x", "z")
    assert np.array_equal(np.asarray(mine), values[2:])
    assert np.array_equal(mine[1, :, 2], values[3, :, 2])
    assert np.array_equal(mine.read(mine.info.box, channel=0), values[2])
    assert np.array_equal(mine.dask().compute(), values[2:])
    with pytest.raises(ConfigError, match="has the votes for a, b: name one of them as o, not 'c'"):
        votes_of_class(whole.info, "c", option="o")
    with pytest.raises(VolumeError, match=r"the votes of single axes.*take the fused prediction"):
        one_class(whole.info, "a", option="o")


def test_a_channel_must_be_named_where_there_are_several(volume):
    whole, _ = volume(NAMES)
    with pytest.raises(ConfigError, match=r"has channels \(a, b, c\): name one of them as o$"):
        one_class(whole.info, "", option="o")
    with pytest.raises(ConfigError, match="name one of them as o, not 'd'"):
        one_class(whole.info, "d", option="o")


def test_a_volume_without_channels_is_its_only_one(tmp_path):
    plain = new_volume(str(tmp_path / "p.zarr"), shape=(2, 2, 2), voxel_nm=(1, 1, 1), dtype="uint8")
    assert one_class(plain, "", option="o") is plain
    with pytest.raises(ConfigError, match=r"p\.zarr has no channels: leave o = 'a' out"):
        one_class(plain, "a", option="o")

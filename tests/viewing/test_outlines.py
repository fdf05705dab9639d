"""Outlines: what changes across a face, the same for every chunk, readable by zarr."""

import json

import numpy as np
import pytest
import zarr

from volproc.viewing.outlines import Outlines, outlines
from volproc.viewing.stores import ForbiddenError

SHAPE = (40, 150, 140)


@pytest.fixture
def labels():
    values = np.zeros(SHAPE, np.uint32)
    values[5:35, 20:140, 10:100] = 3
    values[5:35, 20:140, 100:135] = 900
    values[0, 0, 0] = 1
    return values


def by_neighbours(values):
    """Every voxel compared with its six neighbours, one by one."""
    found = np.zeros(values.shape, np.uint8)
    for axis in range(3):
        for step in (-1, 1):
            moved = np.roll(values, step, axis)
            border = [slice(None)] * 3
            border[axis] = slice(0, 1) if step == 1 else slice(-1, None)
            moved[tuple(border)] = values[tuple(border)]
            found[(moved != values) & (values != 0)] = 255
    return found


def test_a_voxel_with_another_neighbour_is_on_an_outline(labels):
    random = np.random.default_rng(0).integers(0, 3, (7, 8, 9))
    for values in (labels, random):
        assert np.array_equal(outlines(values), by_neighbours(values))


def test_zarr_reads_the_outlines_of_the_whole(labels, save_volume, tmp_path):
    """Written file by file as they are served: chunks meet without a seam."""
    volume = save_volume("labels.zarr", labels, kind="labels", voxel_nm=(50, 10, 10))
    made = Outlines(volume)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "zarr.json").write_bytes(made.read("zarr.json"))
    (tmp_path / "made" / "0").mkdir()
    (tmp_path / "made" / "0" / "zarr.json").write_bytes(made.read("0/zarr.json"))
    for number in np.ndindex(2, 2, 2):
        key = "0/c/" + "/".join(map(str, number))
        (tmp_path / "made" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / key).write_bytes(made.read(key))
    found = zarr.open_group(tmp_path / "made", mode="r")["0"][:]
    assert np.array_equal(found, outlines(labels))


def test_they_lie_where_the_labels_are(labels, save_volume):
    volume = save_volume("labels.zarr", labels, kind="labels", voxel_nm=(50, 10, 10))
    (scale, move) = json.loads(Outlines(volume).read("zarr.json"))["attributes"]["ome"][
        "multiscales"
    ][0]["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [50, 10, 10]
    assert move["translation"] == list(volume.info.levels[0].translation_nm)


@pytest.mark.parametrize("key", ["0/c/9/0/0", "1/zarr.json", "nothing", "7/c/0/0/0"])
def test_what_is_not_there_is_not_found(labels, save_volume, key):
    with pytest.raises(FileNotFoundError):
        Outlines(save_volume("labels.zarr", labels, kind="labels")).read(key)


@pytest.mark.parametrize("key", ["0/c/0/0", "0/c/../0/0", "0/c/-1/0/0", "0/c/0/0/0/0"])
def test_what_is_no_chunk_is_refused(labels, save_volume, key):
    with pytest.raises(ForbiddenError):
        Outlines(save_volume("labels.zarr", labels, kind="labels")).read(key)

"""Masks and labels that cannot work: one clear line, and nothing left that anyone would trust."""

import numpy as np
import pandas as pd
import pytest

from volproc import (
    ClusterOptions,
    LabelOptions,
    label,
)
from volproc.errors import VolumeError
from volproc.stages.label import STAGE as LABEL
from volproc.stages.label.component_tasks import WriteLabels
from volproc.volume.store import open_volume


@pytest.fixture
def cubes():
    """Three cubes of 8, 27 and 64 voxels, the last across blocks; 0 and 255."""
    values = np.zeros((24, 24, 24), dtype=np.uint8)
    for corner, side in (((2, 2, 2), 2), ((2, 10, 2), 3), ((14, 14, 14), 4)):
        values[tuple(slice(c, c + side) for c in corner)] = 255
    return values


@pytest.fixture
def arguments(tmp_path):
    """arguments(mask, ...): of the command that labels it, keeping everything."""
    every = ("--min-volume-um3", 0, "--serial")
    return lambda mask, *more: ("label", mask.info.url, tmp_path / "objects.zarr", *every, *more)


def assert_nothing_to_trust(folder):
    with pytest.raises(VolumeError):
        open_volume(folder / "objects.zarr")
    assert not (folder / "objects.csv").exists()


def test_floats_that_are_not_a_number(tmp_path, refused, arguments, save_volume, cubes):
    values = (cubes / 255).astype("float32")
    values[3, 4, 5] = np.nan
    mask = save_volume("mask.zarr", values)
    words = ("mask.zarr, voxels z 0:24", "not a number", "0 for background")
    refused(*words, by=arguments(mask))
    assert_nothing_to_trust(tmp_path)


@pytest.mark.parametrize("input", ["mask", "classes", "labels"])
def test_values_below_0(tmp_path, refused, arguments, save_volume, cubes, input):
    mask = save_volume("mask.zarr", cubes.view("int8"))
    words = ("mask.zarr", "below 0 (the lowest is -1)", "save the volume as unsigned")
    refused(*words, by=arguments(mask, "--input", input))
    assert_nothing_to_trust(tmp_path)


def test_more_objects_than_a_block_has_room_for(
    tmp_path, refused, arguments, save_volume, monkeypatch
):
    monkeypatch.setattr("volproc.stages.label.component_tasks.PLANNED_ROWS", 8)
    noise = save_volume("mask.zarr", np.indices((24, 24, 24)).sum(0).astype("uint8") % 2 * 255)
    words = ("hold 6912 objects", "1728 were planned", "raise [label] min_volume_um3")
    refused(*words, by=arguments(noise, "--connectivity", 6))
    assert_nothing_to_trust(tmp_path)


def test_a_block_that_does_not_fit(tmp_path, refused, save_volume, cubes):
    save_volume("run/prediction.zarr", cubes)
    (tmp_path / "w.toml").write_text(
        '[run]\nsource = "image.zarr"\nfolder = "run"\n[cluster]\nkind = "serial"\n'
        "worker_memory_gb = 0.5\n"
    )
    words = ("a block of", "a worker has 500 MB", "make the block smaller or")
    refused(*words, by=("run", tmp_path / "w.toml", "--stages", "label", "--quiet"))


def test_a_mask_that_changes_between_the_passes(
    tmp_path, refused, arguments, save_volume, cubes, monkeypatch
):
    mask = save_volume("mask.zarr", cubes)
    load = WriteLabels.load

    def after_a_change(task, block):
        mask.write(mask.info.box, cubes[::-1])
        return load(task, block)

    with monkeypatch.context() as other:
        other.setattr(WriteLabels, "load", after_a_change)
        words = ("mask.zarr", "changed since components were found", "run the same command again")
        refused(*words, by=arguments(mask))
    with pytest.raises(VolumeError, match="unfinished"):
        open_volume(tmp_path / "objects.zarr")


def test_no_objects_after_filtering(tmp_path, save_volume, cubes):
    mask, out = save_volume("mask.zarr", cubes), str(tmp_path / "objects.zarr")
    serial = ClusterOptions(kind="serial")
    result = label(mask.info.url, out, LabelOptions(min_volume_um3=1), cluster=serial)
    said = " ".join(LABEL.lines(result, {}))
    assert "0 objects" in said
    assert "all 3 found were dropped (3 by min_volume_um3, the largest of 0.008 um³)" in said
    labels = open_volume(out)
    assert not labels.read(labels.info.box).any()
    assert len(pd.read_csv(result.table)) == 0

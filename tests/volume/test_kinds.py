import re

import numpy as np
import pytest

from volproc.errors import VolumeError
from volproc.grid.scale import parse_voxel_nm
from volproc.volume import kinds
from volproc.volume.kinds import (
    foreground,
    foreground_level,
    labelled,
    refuse_classes,
    require_present,
    require_values,
)
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume


def volume(dtype, kind="image"):
    voxel_nm = parse_voxel_nm((1, 1, 1))
    return new_volume("v.zarr", shape=(1, 1, 1), voxel_nm=voxel_nm, dtype=dtype, kind=kind)


@pytest.mark.parametrize(
    ("dtype", "kind", "threshold", "level"),
    [
        ("uint8", "image", 0.5, 128),
        ("uint8", "image", 0.0, 1),
        ("uint8", "image", 1.0, 255),
        ("uint8", "labels", 0.5, 1),
        ("uint16", "image", 0.5, 1),
        ("bool", "image", 0.9, 1),
        ("float32", "image", 0.25, 0.25),
    ],
)
def test_levels(dtype, kind, threshold, level):
    assert foreground_level(volume(dtype, kind), threshold=threshold) == level


def test_background_is_never_foreground():
    values = np.array([0, 1, 255], dtype=np.uint8)
    level = foreground_level(volume("uint8"), threshold=0)
    assert foreground(values, level=level, what="v").tolist() == [False, True, True]


def test_refusals():
    with pytest.raises(VolumeError, match="complex64"):
        foreground_level(volume("complex64"), threshold=0.5)
    with pytest.raises(VolumeError, match=r"v\.zarr has voxels that are not a number"):
        foreground(np.array([np.nan]), level=0.5, what="v.zarr")


INT = np.iinfo("int64").max


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([0, -1], "int8"), "below 0 (the lowest is -1)"),
        (np.array([INT, -INT], "int64"), f"below 0 (the lowest is -{INT})"),
        (np.array([0, 255], "float32"), "floats from 0 to 255, expected a mask or probabilities"),
        (np.array([0, 3], "float16"), "floats from 0 to 3"),
        (np.array([-4.5, 4.5]), "floats from -4.5 to 4.5"),
        (np.array([0, np.inf]), "floats from 0 to inf"),
        (np.array([0.5, np.nan]), "not a number (NaN)"),
    ],
)
def test_values_that_no_mask_has_are_refused(values, said):
    """DataLab#152 (NaN), MLLMSeg#7 (0 to 255 in floats), torch-em (-1), logits."""
    with pytest.raises(VolumeError, match=re.escape(said)):
        foreground(values, level=0.5, what="m.zarr")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "uint64", "int64", "bool"])
def test_labels_are_any_value_but_0_or_those_listed(dtype):
    values = np.array([0, 1, 1, 0], dtype)
    assert labelled(values, what="t").tolist() == [False, True, True, False]
    assert labelled(values, (1,), what="t").tolist() == [False, True, True, False]
    assert not labelled(values, (3,), what="t").any()


def test_labels_below_0_need_a_word():
    """-1 is "nobody looked" in torch-em, plant-seg and cc3d: no object, unless it is asked for."""
    values = np.array([-1, 0, 2], "int16")
    with pytest.raises(VolumeError, match=r"t\.zarr holds values below 0"):
        labelled(values, what="t.zarr")
    assert labelled(values, (2,), what="t.zarr").tolist() == [False, False, True]
    assert labelled(values, (-1,), what="t.zarr").tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("dtype", "asked", "wrong"),
    [("uint8", (256,), "256"), ("uint8", (-1, 3), "-1"), ("int16", (2**15,), "32768")],
)
def test_values_that_a_type_cannot_hold_are_named(dtype, asked, wrong):
    info = volume(dtype, "labels")
    with pytest.raises(VolumeError, match=rf"labels has {wrong}, but v\.zarr holds {dtype}"):
        require_values(info, asked, option="labels")


@pytest.fixture
def rare(tmp_path):
    """Label 5 in one voxel, which the coarser level does not show, and label 3 in many."""
    info = new_volume(
        str(tmp_path / "rare.zarr"),
        shape=(20, 20, 300),
        voxel_nm=parse_voxel_nm((9, 9, 9)),
        dtype="uint16",
        kind="labels",
        max_levels=2,
    )
    found = create_volume(info, step="test", digest="test", version="0")
    values = np.zeros(info.shape, np.uint16)
    values[:10], values[13, 13, 33] = 3, 5
    found.write(info.box, values)
    found.write(info.levels[1].box, values[::2, ::2, ::2], level=1)
    return found.finish()


def test_labels_that_are_there_are_found_in_one_voxel_too(rare, monkeypatch):
    monkeypatch.setattr(kinds, "SEARCHED_BLOCK", (8, 8, 8))
    require_present(rare, (3, 5), option="labels")
    require_present(rare, (), option="labels")
    with pytest.raises(VolumeError, match=r"no voxel of .*rare\.zarr is 4, which labels asks for"):
        require_present(rare, (3, 4), option="labels")


def test_what_the_coarser_levels_show_is_not_looked_for_again(rare, monkeypatch):
    monkeypatch.setattr(kinds, "MAX_SEARCHED_VOXELS", rare.info.levels[1].box.size)
    require_present(rare, (3, 5, 4), option="labels")  # nobody can say yet
    looked_at = []
    monkeypatch.setattr(kinds, "MAX_SEARCHED_VOXELS", 2**30)
    read = type(rare).read
    monkeypatch.setattr(
        type(rare), "read", lambda self, *box: looked_at.append(box[1]) or read(self, *box)
    )
    require_present(rare, (3,), option="labels")
    assert looked_at == [1]


@pytest.mark.parametrize(
    ("highest", "level", "step", "refused"),
    [
        (1, 128, "", True),  # a mask of 0 and 1
        (3, 128, "", True),  # classes, nnU-Net's
        (15, 128, "", True),
        (16, 128, "", False),  # a probability, though a low one
        (1, 128, "predict", False),  # our own prediction, of nothing
        (0, 128, "", False),  # empty, or something was found
        (1, 1, "", False),  # threshold = 0
    ],
)
def test_a_mask_of_0_and_1_is_told_from_a_probability(highest, level, step, refused):
    info = volume("uint8").with_provenance(step=step)
    how = {"level": level, "highest": highest, "option": "[x] threshold"}
    if not refused:
        refuse_classes(info, **how)
        return
    with pytest.raises(VolumeError, match=rf"value is {highest}: .* set \[x\] threshold = 0"):
        refuse_classes(info, **how)

"""Objects of several classes: all at once, each voxel its likeliest, or one alone."""

import csv

import numpy as np
import pytest
from scipy import ndimage

from volproc import LabelOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ConfigError
from volproc.stages.label.mask_source import ClassMap, source_of
from volproc.stages.label.stage import plan_label, run_label
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

NAMES = ("er", "=golgi, cis", "nucleus")
LEVEL = 128


@pytest.fixture
def prediction(tmp_path):
    """Smooth probabilities of three classes, which overlap and tie."""
    random = np.random.default_rng(3).normal(size=(3, 24, 28, 32))
    smooth = np.stack([ndimage.gaussian_filter(one, 2) for one in random])
    values = (128 + 900 * smooth).clip(0, 255).astype(np.uint8)
    values[:, :4, :4, :4] = 200
    info = new_volume(
        str(tmp_path / "p.zarr"),
        shape=(24, 28, 32),
        voxel_nm=(50, 50, 50),
        dtype="uint8",
        channels=NAMES,
        chunks=(8, 8, 8),
        shards=(8, 8, 16),
    )
    volume = create_volume(info, step="predict", digest="d", version="0")
    volume.write(info.box, values)
    volume.finish()
    return open_volume(info.url), values


@pytest.fixture
def labelled(tmp_path):
    def run(volume, name="out", **options):
        chosen = LabelOptions(min_volume_um3=0, **options)
        plan = plan_label(volume.info, str(tmp_path / f"{name}.zarr"), chosen)
        made = run_label(plan, Runner(SerialEngine(), tmp_path / f"{name}-ledger"))
        with open(made.table) as file:
            return made.labels[...], list(csv.DictReader(file))

    return run


def likeliest(values):
    """In numpy's words."""
    return np.where(values.max(0) >= LEVEL, values.argmax(0) + 1, 0)


def test_a_voxel_is_of_its_likeliest_class_in_any_box(prediction):
    volume, values = prediction
    found = ClassMap(volume, LEVEL)
    wanted = likeliest(values)
    assert np.array_equal(found.read(volume.info.box), wanted)
    assert {0, 1, 2, 3} == set(np.unique(wanted))
    assert (wanted[:4, :4, :4] == 1).all()  # the first of equals
    for box in volume.info.box.slabs(5):
        assert np.array_equal(found.read(box), wanted[box.slices])


@pytest.mark.parametrize("block", [(8, 8, 16), (24, 28, 32), (16, 8, 16)])
def test_objects_of_all_classes_are_those_of_each_on_the_whole_array(prediction, labelled, block):
    volume, values = prediction
    labels, rows = labelled(volume, f"block-{block[0]}", input="classes", block=block)
    wanted, total = likeliest(values), 0
    for n, name in enumerate(NAMES, start=1):
        alone, count = ndimage.label(wanted == n, np.ones((3, 3, 3)))
        pairs = np.unique(np.stack([alone[wanted == n], labels[wanted == n]]), axis=1)
        assert pairs.shape[1] == count
        marked = f"'{name}" if name.startswith("=") else name  # no formula for a spreadsheet
        assert {int(row["id"]) for row in rows if row["class"] == marked} == set(pairs[1].tolist())
        total += count
    assert len(rows) == total == labels.max()
    assert not labels[wanted == 0].any()


@pytest.mark.parametrize("name", NAMES)
def test_one_class_is_labelled_as_a_volume_of_its_own(prediction, labelled, name):
    volume, values = prediction
    labels, rows = labelled(volume, object_class=name)
    wanted, count = ndimage.label(values[NAMES.index(name)] >= LEVEL, np.ones((3, 3, 3)))
    assert len(rows) == count
    assert np.array_equal(labels > 0, wanted > 0)
    assert "class" not in rows[0]


def test_the_choice_of_a_class_is_part_of_the_recipe_and_none_is_not(prediction):
    volume, _ = prediction
    of = [
        plan_label(volume.info, "o.zarr", LabelOptions(object_class=name)).recipe for name in NAMES
    ]
    assert len({recipe.digest for recipe in of}) == 3
    plain = plan_label(volume.channel("er").info, "o.zarr", LabelOptions()).recipe
    assert "object_class" not in plain.options


def test_a_class_has_to_be_named_and_be_there(prediction):
    volume, _ = prediction
    with pytest.raises(ConfigError, match=r"name one of them as \[label\] object_class$"):
        plan_label(volume.info, "o.zarr", LabelOptions())
    with pytest.raises(ConfigError, match="object_class, not 'golgi'"):
        plan_label(volume.info, "o.zarr", LabelOptions(object_class="golgi"))


def test_another_voxel_size_keeps_the_channel(prediction):
    volume, values = prediction
    again = source_of(volume.channel("er"), voxel_nm=(8, 8, 8))
    assert again.info.voxel_nm == (8, 8, 8)
    assert np.array_equal(again.read(again.info.box), values[0])

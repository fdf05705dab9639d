import csv
import shutil
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from volproc import LabelOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ConfigError, LedgerError, OutputError, VolprocError, VolumeError
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.mask_source import ArraySource
from volproc.stages.label.object_tasks import NumberObjects, UniteGroups
from volproc.stages.label.stage import plan_label, run_label
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

VOXEL_NM = parse_voxel_nm((50, 50, 50))
EVERYTHING = {"min_volume_um3": 0.0}


def write_volume(url, values, *, voxel_nm=VOXEL_NM, kind="image", channels=()):
    info = new_volume(
        str(url),
        shape=values.shape[-3:],
        voxel_nm=voxel_nm,
        dtype=str(values.dtype),
        kind=kind,
        channels=channels,
        chunks=(16, 16, 16),
        shards=(32, 32, 32),
        max_levels=1,
    )
    volume = create_volume(info, step="test", digest="made", version="0")
    volume.write(info.box, values)
    return volume.finish()


@pytest.fixture
def blobs():
    """Rounded objects and specks, many of them across block borders; probabilities times 255."""
    noise = np.random.default_rng(7).standard_normal((40, 56, 64))
    smooth = ndimage.gaussian_filter(noise, 2)
    return np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8)


@pytest.fixture
def mask(tmp_path, blobs):
    return write_volume(tmp_path / "mask.zarr", blobs)


def label(mask, url, folder, *, engine=None, most_rows=2**20, overwrite=False, **options):
    plan = plan_label(mask.info, str(url), LabelOptions(**options))
    plan = replace(plan, find=replace(plan.find, most_rows=most_rows))
    return run_label(plan, Runner(engine or SerialEngine(), folder, overwrite=overwrite))


def expected_labels(foreground, *, minimum=1, structure=None):
    labels = ndimage.label(foreground, np.ones((3, 3, 3)) if structure is None else structure)[0]
    sizes = np.bincount(labels.ravel())
    final = np.zeros(len(sizes), dtype=np.uint32)
    large = [i for i in range(1, len(sizes)) if sizes[i] >= minimum]
    final[large] = np.arange(1, len(large) + 1)  # scipy numbers by first voxels, too
    return final[labels]


@pytest.mark.parametrize("block", [None, (16, 16, 16), (24, 20, 64), (40, 56, 9)])
def test_labels_equal_those_of_the_whole_array(tmp_path, mask, blobs, block):
    result = label(mask, tmp_path / "objects.zarr", tmp_path, block=block, min_volume_um3=0.00625)
    labels = open_volume(tmp_path / "objects.zarr")
    expected = expected_labels(blobs >= 128, minimum=50)
    np.testing.assert_array_equal(labels.read(labels.info.box), expected)
    assert labels.info.kind == "labels"
    assert labels.info.dtype == "uint32"
    assert result.objects == expected.max()
    assert result.dropped == expected_labels(blobs >= 128).max() - expected.max()


def test_table_opens_in_pandas_and_agrees_with_skimage(tmp_path, mask, blobs):
    result = label(mask, tmp_path / "objects.zarr", tmp_path, block=(16, 16, 16), **EVERYTHING)
    assert result.table == str(tmp_path / "objects.csv")
    table = pd.read_csv(result.table)
    regions = regionprops(expected_labels(blobs >= 128))
    assert table["id"].tolist() == [region.label for region in regions]
    assert table["voxels"].tolist() == [region.num_pixels for region in regions]
    assert table["touches_border"].dtype == bool
    for axis, name in enumerate("zyx"):
        assert table[f"start_{name}"].tolist() == [r.bbox[axis] for r in regions]
        assert table[f"stop_{name}"].tolist() == [r.bbox[axis + 3] for r in regions]
        np.testing.assert_allclose(
            table[f"centroid_{name}"], [r.centroid[axis] for r in regions], rtol=1e-6
        )
        np.testing.assert_allclose(
            table[f"centroid_{name}_nm"], (table[f"centroid_{name}"] + 0.5) * 50, rtol=1e-6
        )
    np.testing.assert_allclose(table["volume_um3"], table["voxels"] * 0.000125)


@pytest.mark.parametrize(
    ("values", "kind", "threshold"),
    [
        (np.array([0, 1], dtype=bool), "image", 0.5),
        (np.array([0, 255], dtype="uint8"), "image", 0.5),
        (np.array([0, 1], dtype="uint8"), "image", 0.0),
        (np.array([127, 128], dtype="uint8"), "image", 0.5),
        (np.array([0, 7], dtype="uint16"), "image", 0.5),
        (np.array([0, 1], dtype="uint8"), "labels", 0.5),
        (np.array([0, 3], dtype="int32"), "labels", 0.5),
        (np.array([0.2, 0.5], dtype="float32"), "image", 0.5),
    ],
)
def test_every_kind_of_mask(tmp_path, values, kind, threshold):
    cube = np.zeros((8, 8, 8), dtype=int)
    cube[2:4, 2:4, 2:4] = 1
    cube[6, 6, 6] = 1
    mask = write_volume(tmp_path / "mask.zarr", values[cube], kind=kind)
    result = label(mask, tmp_path / "o.zarr", tmp_path, threshold=threshold, **EVERYTHING)
    assert result.objects == 2


def test_no_objects_give_an_empty_table_with_its_header(tmp_path, mask):
    result = label(mask, tmp_path / "objects.zarr", tmp_path, min_volume_um3=1000)
    assert result.objects == 0
    everything = label(mask, tmp_path / "all.zarr", tmp_path / "all", **EVERYTHING)
    assert result.reasons == {"min_volume_um3": everything.objects}
    assert result.largest_dropped_um3 == pytest.approx(
        pd.read_csv(everything.table)["volume_um3"].max()
    )
    with open(result.table) as file:
        lines = list(csv.reader(file))
    assert len(lines) == 1
    assert lines[0][:3] == ["id", "voxels", "volume_um3"]
    labels = open_volume(tmp_path / "objects.zarr")
    assert not labels.read(labels.info.box).any()


def test_labels_on_the_native_grid(tmp_path, mask, blobs):
    image = new_volume(
        "image.zarr", shape=(40, 280, 320), voxel_nm=parse_voxel_nm((50, 10, 10)), dtype="uint8"
    )
    options = LabelOptions(image_grid=True, **EVERYTHING)
    plan = plan_label(mask.info, str(tmp_path / "objects.zarr"), options, native=image)
    assert "native labels" in [step.name for step in plan.steps]
    result = run_label(plan, Runner(SerialEngine(), tmp_path))
    native = open_volume(tmp_path / "objects-native.zarr")
    assert result.native is not None
    assert native.info.voxel_nm == (50, 10, 10)
    expected = expected_labels(blobs >= 128).repeat(5, axis=1).repeat(5, axis=2)
    np.testing.assert_array_equal(native.read(native.info.box), expected)


def test_done_again_nothing_changes_and_other_options_start_anew(tmp_path, mask, blobs):
    first = label(mask, tmp_path / "objects.zarr", tmp_path, **EVERYTHING)
    before = (tmp_path / "objects.csv").read_bytes()
    again = label(mask, tmp_path / "objects.zarr", tmp_path, **EVERYTHING)
    assert (again.objects, again.dropped) == (first.objects, first.dropped)
    assert (tmp_path / "objects.csv").read_bytes() == before
    with pytest.raises(OutputError, match=r"made otherwise \(connectivity: 26 -> 6\)"):
        label(mask, tmp_path / "objects.zarr", tmp_path, connectivity=6, **EVERYTHING)
    how = {"overwrite": True, **EVERYTHING}
    other = label(mask, tmp_path / "objects.zarr", tmp_path, connectivity=6, **how)
    labels = other.labels.read(other.labels.info.box)
    faces = ndimage.generate_binary_structure(3, 1)
    np.testing.assert_array_equal(labels, expected_labels(blobs >= 128, structure=faces))


def test_tables_removed_by_hand_are_made_again(tmp_path, mask):
    first = label(mask, tmp_path / "objects.zarr", tmp_path, **EVERYTHING)
    shutil.rmtree(tmp_path / "objects.tables")
    again = label(mask, tmp_path / "objects.zarr", tmp_path, **EVERYTHING)
    assert again.objects == first.objects


def test_tables_of_another_run_are_not_trusted(tmp_path, mask):
    label(mask, tmp_path / "objects.zarr", tmp_path, **EVERYTHING)
    plan = plan_label(mask.info, str(tmp_path / "objects.zarr"), LabelOptions())
    with pytest.raises(LedgerError, match="with other options"):
        plan.find.tables.block(0)


def test_a_mask_with_channels_is_refused(tmp_path):
    votes = write_volume(
        tmp_path / "votes.zarr", np.zeros((3, 8, 8, 8), dtype="uint8"), channels=("x", "y", "z")
    )
    with pytest.raises(VolumeError, match=r"has channels \(x, y, z\)"):
        plan_label(votes.info, "objects.zarr", LabelOptions())


def test_not_a_number_is_refused(tmp_path):
    values = np.zeros((8, 8, 8), dtype="float32")
    values[3, 3, 3] = np.nan
    mask = write_volume(tmp_path / "mask.zarr", values)
    with pytest.raises(VolprocError, match="not a number"):
        label(mask, tmp_path / "objects.zarr", tmp_path)


def test_a_mask_of_zero_and_one_is_explained(tmp_path):
    mask = write_volume(tmp_path / "mask.zarr", np.ones((8, 8, 8), dtype="uint8"))
    with pytest.raises(VolumeError, match="threshold = 0"):
        label(mask, tmp_path / "objects.zarr", tmp_path)


def test_other_types_are_refused(mask):
    with pytest.raises(VolumeError, match="complex64"):
        plan_label(replace(mask.info, dtype="complex64"), "objects.zarr", LabelOptions())


def test_native_needs_an_image_of_the_same_size(mask):
    with pytest.raises(ConfigError, match="needs the image"):
        plan_label(mask.info, "objects.zarr", LabelOptions(image_grid=True))
    other = new_volume("image.zarr", shape=(40, 56, 64), voxel_nm=(50, 10, 10), dtype="uint8")
    with pytest.raises(VolumeError, match=r"2800 nm long along y, .* is 560 nm"):
        plan_label(mask.info, "objects.zarr", LabelOptions(image_grid=True), native=other)


def test_native_labels_of_a_part_of_the_space_lie_where_it_does(tmp_path, mask, blobs):
    crop = new_volume(
        "crop.zarr",
        shape=(12, 100, 110),
        voxel_nm=parse_voxel_nm((50, 10, 10)),
        corner_nm=(-25 + 100, -25 + 150, -25 + 50),  # the mask's corner is at -25
        dtype="uint8",
    )
    options = LabelOptions(image_grid=True, **EVERYTHING)
    plan = plan_label(mask.info, str(tmp_path / "objects.zarr"), options, native=crop)
    native = run_label(plan, Runner(SerialEngine(), tmp_path)).native
    expected = expected_labels(blobs >= 128)[2:14, 3:23, 1:23]
    found = native.read(native.info.box)
    np.testing.assert_array_equal(found, expected.repeat(5, axis=1).repeat(5, axis=2))
    assert native.info.corner_nm == crop.corner_nm
    away = replace(crop, levels=(replace(crop.levels[0], translation_nm=(1e6, 0.0, 0.0)),))
    with pytest.raises(VolumeError, match="they meet nowhere"):
        plan_label(mask.info, str(tmp_path / "objects.zarr"), options, native=away)


def test_plan_tells_costs_without_reading(mask):
    plan = plan_label(mask.info, "objects.zarr", LabelOptions(block=(16, 16, 16)))
    label, *merging, relabel = plan.steps[:6]
    assert [step.name for step in (label, *merging, relabel)] == [
        "label", "merge", "unite", "number", "ids", "relabel",
    ]  # fmt: skip
    assert label.bytes_read == relabel.bytes_read == 40 * 56 * 64
    assert relabel.bytes_written == 4 * 40 * 56 * 64
    assert len(label.blocks) == 3 * 4 * 4
    # of a single group nothing goes on; how many groups there are the first pass shows
    assert all((step.peak_bytes > 0) == (step.name != "unite") for step in plan.steps)


def label_one_object(folder, size):
    """All voxels of a cube in blocks of 48^3: its plan, its row, and the most memory it took."""
    info = new_volume(
        str(folder / "mask.zarr"), shape=(size,) * 3, voxel_nm=VOXEL_NM, dtype="uint8"
    )
    full = ArraySource(info, np.broadcast_to(np.uint8(255), info.shape))
    options = LabelOptions(block=(48, 48, 48))
    plan = plan_label(info, str(folder / "objects.zarr"), options, source=full)
    tracemalloc.start()
    try:
        result = run_label(plan, Runner(SerialEngine(), folder / "ledger"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return plan, pd.read_csv(result.table), peak


def test_an_object_larger_than_memory(tmp_path):
    label_one_object(tmp_path / "first", 96)  # compiles
    plan, table, peak = label_one_object(tmp_path / "then", 192)
    assert table["voxels"].tolist() == [192**3]
    blocks = [step.peak_bytes for step in plan.steps if step.name in ("label", "relabel")]
    labels = 4 * 192**3
    assert peak < max(blocks) < labels / 8


@pytest.mark.dask
@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_the_same_on_workers_as_in_the_process(tmp_path, mask, dask_engine, connectivity):
    options = {"block": (16, 32, 32), **EVERYTHING, "connectivity": connectivity, "most_rows": 40}
    serial = label(mask, tmp_path / "serial.zarr", tmp_path / "serial", **options)
    dask = label(mask, tmp_path / "dask.zarr", tmp_path / "dask", engine=dask_engine, **options)
    np.testing.assert_array_equal(
        serial.labels.read(mask.info.box), dask.labels.read(mask.info.box)
    )
    assert (tmp_path / "serial.csv").read_bytes() == (tmp_path / "dask.csv").read_bytes()


def test_another_filter_does_not_find_components_again(tmp_path, mask):
    everything = label(mask, tmp_path / "objects.zarr", tmp_path, **EVERYTHING)
    engine = EngineThatStops(5)  # merge, unite, number, ids, relabel: one block each
    how = {"engine": engine, "overwrite": True, **EVERYTHING}
    few = label(mask, tmp_path / "objects.zarr", tmp_path, largest=2, **how)
    assert (few.objects, few.reasons) == (2, {"largest": everything.objects - 2})
    assert set(np.unique(few.labels.read(mask.info.box))) == {0, 1, 2}


@pytest.mark.dask
def test_objects_of_the_whole_volume_are_held_by_workers_alone(
    tmp_path, mask, dask_engine, monkeypatch
):
    """The client, on a login node, neither merges nor numbers."""

    def refused(*_):
        raise AssertionError("in the client")

    for task in (UniteGroups, NumberObjects):
        monkeypatch.setattr(task, "load", refused)  # workers import their own
    options = {"block": (16, 32, 32), "most_rows": 40, **EVERYTHING}
    assert label(mask, tmp_path / "objects.zarr", tmp_path, engine=dask_engine, **options).objects


def test_a_table_that_is_gone_is_written_again(tmp_path, mask):
    """While the volume is unfinished; only that is done again, and the blocks that were left."""
    options = {"block": (16, 32, 32), **EVERYTHING}
    label(mask, tmp_path / "all.zarr", tmp_path / "all", **options)
    table, wanted = tmp_path / "objects.csv", (tmp_path / "all.csv").read_bytes()
    first = 3 * 2 * 2 + 4  # all blocks; merge, unite, number, ids
    with pytest.raises(Interrupted):
        label(mask, tmp_path / "objects.zarr", tmp_path, engine=EngineThatStops(first), **options)
    assert table.read_bytes() == wanted
    table.unlink()
    again = EngineThatStops(1 + 3 * 2 * 2)  # number; relabel
    label(mask, tmp_path / "objects.zarr", tmp_path, engine=again, **options)
    assert table.read_bytes() == wanted


def test_a_mask_that_changes_between_the_passes_is_noticed(tmp_path, mask, blobs):
    class Changing(EngineThatStops):
        def map(self, step, blocks):
            if type(step.task).__name__ == "WriteLabels":
                mask.write(mask.info.box, np.roll(blobs, 5, axis=2))
            return super().map(step, blocks)

    out = tmp_path / "objects.zarr"
    with pytest.raises(VolprocError, match=r"changed since components were found .* remove"):
        label(mask, out, tmp_path, engine=Changing(1000), **EVERYTHING)
    with pytest.raises(VolumeError, match="unfinished"):
        open_volume(out)
    shutil.rmtree(tmp_path / "objects.tables")
    result = label(mask, out, tmp_path, **EVERYTHING)
    expected = expected_labels(np.roll(blobs, 5, axis=2) >= 128)
    np.testing.assert_array_equal(result.labels.read(mask.info.box), expected)


def test_a_mask_made_anew_meanwhile_is_noticed(tmp_path, blobs):
    mask = write_volume(tmp_path / "mask.zarr", np.zeros_like(blobs))

    class Changing(EngineThatStops):
        def map(self, step, blocks):
            if type(step.task).__name__ == "WriteLabels":
                info = mask.info.with_provenance(digest="other", finished=False)
                create_volume(info, step="test", digest="other", version="0").finish()
            return super().map(step, blocks)

    with pytest.raises(VolumeError, match="was rewritten while it was labelled"):
        label(mask, tmp_path / "o.zarr", tmp_path, engine=Changing(1000), **EVERYTHING)


class Interrupted(Exception):
    pass


class EngineThatStops(SerialEngine):
    """Does so many blocks of all steps together, then the lights go out."""

    def __init__(self, blocks):
        super().__init__()
        self.left = blocks

    def map(self, step, blocks):
        for outcome in super().map(step, blocks):
            if self.left == 0:
                raise Interrupted
            self.left -= 1
            yield outcome


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "tables" not in str(path)
    }


@pytest.mark.parametrize("blocks", [0, 7, 48, 95])
def test_interrupted_and_run_again_ends_as_if_undisturbed(tmp_path, mask, blocks):
    options = {"block": (16, 16, 16), **EVERYTHING}
    label(mask, tmp_path / "quiet" / "objects.zarr", tmp_path / "records", **options)
    url, records = tmp_path / "torn" / "objects.zarr", tmp_path / "torn_records"
    with pytest.raises(Interrupted):
        label(mask, url, records, engine=EngineThatStops(blocks), **options)
    label(mask, url, records, **options)
    assert files(tmp_path / "torn") == files(tmp_path / "quiet")


def test_dask_image_finds_the_same_objects(tmp_path, runner):
    """Block-wise labelling by others as the oracle: the same partition, other numbers."""
    from dask_image import ndmeasure

    mask = np.random.default_rng(6).random((24, 40, 48)) < 0.18
    volume = write_volume(tmp_path / "m.zarr", mask.astype("uint8") * 255)
    options = LabelOptions(block=(16, 16, 32), **EVERYTHING)
    result = run_label(plan_label(volume.info, str(tmp_path / "o.zarr"), options), runner)
    ours = result.labels.read(result.labels.info.box)
    lazy = volume.dask() > 0
    theirs, count = ndmeasure.label(lazy, structure=np.ones((3, 3, 3)))
    theirs = theirs.compute(scheduler="sync")
    assert result.objects == int(count.compute(scheduler="sync"))
    pairs = np.unique(np.stack([ours[mask], theirs[mask]]), axis=1)
    assert pairs.shape[1] == result.objects
    assert np.array_equal(ours > 0, mask)


@pytest.mark.parametrize(
    ("value", "options", "why"),
    [
        (0, {}, "reaches the threshold of 0.5; the field of 0.512 um³ is smaller than one object"),
        (200, EVERYTHING | {"threshold": 0.9}, "mask.zarr reaches the threshold of 0.9"),
        (200, {}, "the only one found was dropped (1 by min_volume_um3, the largest of 0.512"),
        (200, EVERYTHING | {"border": "drop"}, "the only one found was dropped (1 by border, the"),
    ],
)
def test_no_objects_are_explained_and_the_labels_keep_it(tmp_path, value, options, why):
    mask = write_volume(tmp_path / "mask.zarr", np.full((16, 16, 16), value, np.uint8))
    result = label(mask, tmp_path / "objects.zarr", tmp_path / "run", **options)
    assert result.objects == 0
    assert result.why.startswith("no objects: ")
    assert why in result.why
    record = open_volume(tmp_path / "objects.zarr").info.provenance
    assert (record["objects"], record["nothing_found"]) == (0, result.why)


def test_where_there_are_objects_nothing_is_explained(mask, tmp_path):
    result = label(mask, tmp_path / "objects.zarr", tmp_path / "run", **EVERYTHING)
    assert result.why == ""
    assert result.labels.info.provenance["objects"] == result.objects > 0

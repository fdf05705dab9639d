import os
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from volproc import IngestOptions
from volproc.errors import IngestError, OutputError, VolprocError
from volproc.grid.box import Box
from volproc.stages.ingest.grey.slice_matching import matched, matching, moments
from volproc.stages.ingest.stage import plan_ingest, run_ingest
from volproc.volume import metadata
from volproc.volume.pyramid import coarsen, step_between
from volproc.volume.store import open_volume

RNG = np.random.default_rng(8)
STACK = RNG.integers(1, 250, (21, 90, 70), dtype="uint8")


def planned(path, **options):
    url = str(path.parent / "out.zarr")
    return plan_ingest(str(path), url, IngestOptions(**{"voxel_nm": (50, 10, 10), **options}))


def ingested(path, runner, **options):
    volume = run_ingest(planned(path, **options), runner)
    return volume.info, volume.read(volume.info.box)


def write_stack(path, values, **how):
    tifffile.imwrite(path, values, photometric="minisblack", **how)
    return path


def write_series(folder, numbers, values=STACK):
    folder.mkdir()
    for number, plane in zip(numbers, values):
        tifffile.imwrite(folder / f"slice_{number}.tif", plane, compression="packbits")
    return folder


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("shape", [(21, 90, 70), (3, 700, 541), (70, 300, 260), (1, 301, 300)])
def test_every_level_of_a_volume_cut_into_many_shards(
    tmp_path, any_runner, monkeypatch, shape, compression
):
    monkeypatch.setattr(metadata, "SHARD_BYTES", 2**18)
    values = RNG.integers(0, 256, shape, dtype="uint8")
    stack = write_stack(tmp_path / "a.tif", values, compression=compression, rowsperstrip=shape[1])
    volume = run_ingest(planned(stack), any_runner)
    expected = values
    for n, level in enumerate(volume.info.levels):
        if n:
            step = step_between(volume.info.levels[n - 1], level)
            expected = coarsen(expected, step, kind="image")
        assert np.array_equal(volume.read(level.box, level=n), expected)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("stored", "kept"),
    [("bool", "uint8"), ("uint16", "uint16"), ("float16", "float32"), ("float64", "float64")],
)
def test_types_are_kept_or_widened_without_loss(tmp_path, runner, stored, kept, version):
    import h5py

    values = STACK > 128 if stored == "bool" else STACK.astype(stored)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = values
    info, found = ingested(tmp_path / "a.h5", runner, ome_zarr=version)
    assert info.dtype == kept
    assert np.array_equal(found, values.astype(kept))


def test_grey_values_become_uint8_by_constants_of_the_volume(tmp_path, any_runner):
    values = RNG.normal(3000, 100, (40, 90, 70)).astype("uint16")
    values[:, 0, 0] = 65535
    info, found = ingested(write_stack(tmp_path / "a.tif", values), any_runner, dtype="uint8")
    low, high = info.provenance["grey_range"]
    assert 2500 < low < 2750 < 3250 < high < 3500
    expected = np.rint((values.astype(float) - low) / (high - low) * 255).clip(0, 255)
    assert info.dtype == "uint8"
    assert abs(found - expected).max() <= 1
    assert (found[:, 0, 0] == 255).all()


def test_a_stated_range_is_taken_as_it_is(tmp_path, runner):
    values = np.arange(21 * 90 * 70, dtype="float32").reshape(21, 90, 70)
    _, found = ingested(
        write_stack(tmp_path / "a.tif", values), runner, dtype="uint8", grey_range=(0, 255)
    )
    assert np.array_equal(found, values.clip(0, 255).astype("uint8"))


def test_labels_get_a_pyramid_of_labels(tmp_path, runner):
    values = np.kron(RNG.integers(0, 3, (1, 3, 3)), np.ones((2, 150, 150))).astype("uint16") * 1000
    plan = planned(write_stack(tmp_path / "l.tif", values), labels=True)
    volume = run_ingest(plan, runner)
    assert volume.info.kind == "labels"
    assert len(volume.info.levels) > 1
    for n, level in enumerate(volume.info.levels):
        assert set(np.unique(volume.read(level.box, level=n))) <= {0, 1000, 2000}


def test_slices_are_brought_to_one_mean_and_spread(tmp_path, runner):
    jumps = STACK.astype(int) // 2 + 60  # scaled or not, nothing reaches 0 or 255
    jumps[::3] = jumps[::3] // 3 + 40
    jumps[5] = 0
    values = jumps.astype("uint8")
    values[2, :4] = 255
    info, found = ingested(write_stack(tmp_path / "a.tif", values), runner, match_slices=True)
    means, spreads = np.array([moments(plane) for plane in np.delete(found, 5, axis=0)]).T
    assert np.ptp(means) < 1
    assert np.ptp(spreads) < 1
    assert (found[5] == 0).all()
    assert (found[2, :4] == 255).all()
    assert len(info.provenance["slice_scale_offset"]) == 21


def test_matching_is_the_identity_for_equal_slices():
    table = matching([(100.0, 20.0)] * 3)
    assert np.array_equal(matched(STACK[:3], table), STACK[:3])
    assert matching([(0.0, 0.0)] * 2) == ((1.0, 0.0), (1.0, 0.0))


def test_slices_that_no_file_holds_are_noted(tmp_path, runner):
    series = write_series(tmp_path / "s", [1, 2, 4])
    info, found = ingested(series, runner, missing="blank")
    assert info.provenance["filled_slices"] == [2]
    assert (found[2] == 0).all()
    assert np.array_equal(found[3], STACK[2])


@pytest.mark.parametrize("finished", [True, False])
def test_files_that_changed_since_are_noticed(tmp_path, runner, finished):
    series = write_series(tmp_path / "s", range(1, 6))
    plan = planned(series)
    if finished:
        run_ingest(plan, runner)
    else:
        from volproc.stages.output import begin_volume

        begin_volume(runner, plan.output, step="ingest", digest=plan.digest, steps=plan.steps)
    os.utime(series / "slice_3.tif", (1, 1))
    with pytest.raises(IngestError, match=r"files that have changed since .*--changed redo"):
        planned(series)
    tifffile.imwrite(series / "slice_6.tif", STACK[6])
    with pytest.raises(IngestError, match=r"5 files of .* then, 6 files of .* now"):
        planned(series)
    _, found = ingested(series, runner, changed="redo")
    assert np.array_equal(found, STACK[[0, 1, 2, 3, 4, 6]])


def test_other_options_make_the_volume_anew_where_that_is_said(tmp_path, runner):
    stack = write_stack(tmp_path / "a.tif", STACK)
    ingested(stack, runner)
    with pytest.raises(OutputError, match=r"voxel_nm: .* -> \[50.0, 20.0, 20.0\]"):
        ingested(stack, runner, voxel_nm=(50, 20, 20))
    info, _ = ingested(stack, replace(runner, overwrite=True), voxel_nm=(50, 20, 20))
    assert info.voxel_nm == (50, 20, 20)


def wrong_files(folder):
    """Wrong inputs by name."""
    tifffile.imwrite(
        folder / "colour.tif", np.arange(216, dtype="uint8").reshape(8, 9, 3), photometric="rgb"
    )
    (folder / "text.tif").write_text("no image at all")
    (folder / "empty").mkdir()
    write_series(folder / "sizes", [1, 2], [np.zeros((8, 8), "uint8"), np.zeros((8, 9), "uint8")])
    write_series(folder / "types", [1, 2], [np.zeros((8, 8), "uint8"), np.zeros((8, 8), "uint16")])
    whole = write_stack(folder / "whole.tif", STACK, compression="zlib")
    (folder / "short.tif").write_bytes(whole.read_bytes()[:20_000])
    write_stack(folder / "nan.tif", np.full((2, 8, 8), np.nan, "float32"))
    write_stack(folder / "blank.tif", np.full((2, 8, 8), 9, "uint16"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("none.tif", {}, "does not exist"),
        ("colour.tif", {}, "grey"),
        ("text.tif", {}, "is not a TIFF file"),
        ("empty", {}, "holds no image file"),
        ("sizes", {}, "all slices need one size and type"),
        ("types", {}, "all slices need one size and type"),
        ("short.tif", {}, r"cannot read .*short\.tif"),
        ("nan.tif", {}, "NaN"),
        ("nan.tif", {"labels": True}, "labels are whole numbers"),
        ("whole.tif", {"labels": True, "match_slices": True}, "must not change"),
        ("whole.tif", {"voxel_nm": None}, "states no voxel size; give it with --voxel-nm"),
        ("blank.tif", {"dtype": "uint8"}, "blank"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_trusted_is_left(
    tmp_path, runner, name, options, message
):
    wrong_files(tmp_path)
    with pytest.raises(VolprocError, match=message) as caught:
        ingested(tmp_path / name, runner, **options)
    assert "\n" not in str(caught.value)
    with pytest.raises(VolprocError):
        open_volume(tmp_path / "out.zarr")


@pytest.mark.real
def test_a_real_series_with_a_gap(real_data, tmp_path, runner):
    plan = plan_ingest(
        str(real_data / "hela-slices"),
        str(tmp_path / "out.zarr"),
        IngestOptions(voxel_nm=(50, 10, 10), missing="repeat"),
    )
    volume = run_ingest(plan, runner)
    assert volume.info.shape == (4, 2000, 2000)
    planes = volume.read(Box((1, 0, 0), (4, 2000, 2000)))
    assert np.array_equal(planes[0], planes[1])
    assert not np.array_equal(planes[1], planes[2])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nan_becomes_the_value_that_is_stated(tmp_path, runner, dtype):
    """napari/napari#1310, layerfMRI/LAYNII#7, mantidproject/mantidimaging#1093: NaN around data."""
    values = STACK.astype(dtype)
    values[3:5, 10:20] = np.nan
    path = write_stack(tmp_path / "a.tif", values)
    _, found = ingested(path, runner, nan=7)
    assert np.array_equal(found, np.nan_to_num(values, nan=7).astype(found.dtype))


def test_nan_is_no_part_of_a_slices_mean(tmp_path, runner):
    values = STACK.astype("float32")
    values[3, 10:20] = np.nan
    path = write_stack(tmp_path / "a.tif", values)
    _, found = ingested(path, runner, nan=100, match_slices=True)
    assert np.isfinite(found).all()
    with pytest.raises(VolprocError, match=r"NaN.*--nan, or \[ingest\] nan, such as 0"):
        ingested(path, runner, changed="redo")


def test_a_value_for_nan_must_fit(tmp_path):
    path = write_stack(tmp_path / "a.tif", STACK.astype("float16"))
    with pytest.raises(IngestError, match=r"nan = 1e\+06 is beyond float16"):
        assert planned(path, nan=1e6).steps
    write_stack(tmp_path / "b.tif", STACK)
    assert planned(tmp_path / "b.tif", nan=1e6).steps  # whole numbers are never NaN


def test_what_became_of_a_folder_is_in_the_metadata(tmp_path, runner):
    folder = write_series(tmp_path / "s", range(5))
    (folder / "notes.txt").write_text("hello")
    info, _ = ingested(folder, runner)
    assert info.provenance["files_taken"] == "5 slices of 6 files; left out: 1 .txt (notes.txt)"
    (folder / "more.txt").write_text("hello")  # a note more is no change of the slices
    ingested(folder, runner)

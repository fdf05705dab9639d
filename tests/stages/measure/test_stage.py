import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skimage.measure import regionprops

from volproc import MeasureOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ConfigError, LedgerError, VolprocError, VolumeError
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.measure import plan as planning
from volproc.stages.measure.stage import plan_measure, run_measure
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

VOXEL_NM = (50, 25, 25)
SHAPE = (30, 64, 72)


def ellipsoid(centre, semi_axes):
    """Voxels inside, centre and semi-axes in nm from the volume's corner."""
    grids = np.ogrid[tuple(map(slice, SHAPE))]
    parts = (
        ((grid + 0.5) * size - c) / a
        for grid, size, c, a in zip(grids, VOXEL_NM, centre, semi_axes)
    )
    return sum(part**2 for part in parts) <= 1


@pytest.fixture
def labels():
    """A ball, an ellipsoid twice as long as wide, a ball cut by the border, and single voxels."""
    found = np.zeros(SHAPE, np.uint32)
    found[ellipsoid((750, 450, 450), (400, 400, 400))] = 4
    found[ellipsoid((750, 1150, 1250), (350, 350, 525))] = 7
    found[ellipsoid((0, 1200, 500), (300, 300, 300))] = 2
    found[28, 60:62, 3] = 9
    return found


@pytest.fixture
def saved(save_volume, labels):
    return save_volume("objects.zarr", labels, voxel_nm=VOXEL_NM, kind="labels")


def measure(volume, folder, records, *, runner=None, image=None, votes=None, **options):
    plan = plan_measure(
        volume.info,
        str(folder),
        MeasureOptions(**options),
        image=image.info if image else None,
        votes=votes.info if votes else None,
    )
    return run_measure(plan, runner or Runner(SerialEngine(), records))


def save_votes(tmp_path, values):
    info = new_volume(
        str(tmp_path / "votes.zarr"),
        shape=values.shape[1:],
        voxel_nm=parse_voxel_nm(VOXEL_NM),
        dtype="uint8",
        channels=("x", "y", "z"),
        max_levels=1,
    )
    volume = create_volume(info, step="test", digest="test", version="0")
    volume.write(info.box, values)
    return volume.finish()


def test_the_table_opens_in_pandas_and_agrees_with_skimage(tmp_path, saved, labels):
    image = np.random.default_rng(2).integers(0, 255, SHAPE).astype(np.uint8)
    info = new_volume(
        str(tmp_path / "image.zarr"), shape=SHAPE, voxel_nm=saved.info.voxel_nm, dtype="uint8"
    )
    grey = create_volume(info, step="test", digest="test", version="0")
    grey.write(info.box, image)
    grey = grey.finish()
    result = measure(saved, tmp_path / "out", tmp_path / "ledger", image=grey)
    table = pd.read_csv(result.table)
    regions = regionprops(labels, image, spacing=VOXEL_NM)
    assert table["id"].tolist() == [2, 4, 7, 9] == [region.label for region in regions]
    assert table["voxels"].tolist() == [region.num_pixels for region in regions]
    assert table["touches_border"].tolist() == [True, False, False, False]
    np.testing.assert_allclose(table["mean_intensity"], [r.intensity_mean for r in regions])
    np.testing.assert_allclose(
        table["equivalent_diameter_um"], [r.equivalent_diameter_area / 1000 for r in regions]
    )
    assert list(table) == list(result.columns)


def test_a_ball_and_an_ellipsoid_have_the_shape_they_have(tmp_path, saved):
    table = pd.DataFrame(measure(saved, tmp_path / "out", tmp_path / "l").columns).set_index("id")
    ball, long, cut = table.loc[4], table.loc[7], table.loc[2]
    assert ball["surface_um2"] == pytest.approx(4 * np.pi * 0.4**2, rel=0.03)
    assert ball["sphericity"] == pytest.approx(1, abs=0.03)
    assert [ball[f"semi_axis_{n}_nm"] for n in (1, 2, 3)] == pytest.approx([400] * 3, rel=0.03)
    assert long["elongation"] == pytest.approx(1.5, rel=0.03)
    assert [long[f"longest_axis_{axis}"] for axis in "zyx"] == pytest.approx([0, 0, 1], abs=0.01)
    assert long["sphericity"] < ball["sphericity"]
    assert cut["cut_um2"] == pytest.approx(np.pi * 0.3**2, rel=0.1)
    assert cut["surface_um2"] == pytest.approx(2 * np.pi * 0.3**2, rel=0.05)
    assert ball["cut_um2"] == 0
    assert (table["fragments_per_slice"] == 1).all()
    assert table["slices"].tolist() == [6, 16, 14, 1]


@pytest.mark.parametrize("core", [(16, 16, 16), (30, 64, 24)])
def test_blocks_never_show(tmp_path, saved, monkeypatch, core):
    rng = np.random.default_rng(3)
    votes = save_votes(tmp_path, rng.integers(0, 256, (3, *SHAPE)).astype(np.uint8))
    whole = measure(saved, tmp_path / "whole", tmp_path / "1", votes=votes)
    monkeypatch.setattr(planning, "_core", lambda level: core)
    parts = measure(saved, tmp_path / "parts", tmp_path / "2", votes=votes)
    assert {"agreement", "surface_um2", "most_fragments"} <= set(parts.columns)
    assert Path(whole.table).read_text() == Path(parts.table).read_text()


@pytest.mark.dask
def test_workers_find_the_same(tmp_path, saved, dask_runner):
    here = measure(saved, tmp_path / "here", tmp_path / "1")
    there = measure(saved, tmp_path / "there", tmp_path / "2", runner=dask_runner, meshes="ply")
    assert Path(here.table).read_text() == Path(there.table).read_text()


def test_the_image_may_have_finer_voxels_and_levels(tmp_path, save_volume, saved, labels):
    steps = np.arange(SHAPE[0], dtype=np.uint8)[:, None, None] * np.ones(SHAPE, np.uint8)
    fine = save_volume(
        "image.zarr", steps.repeat(2, axis=1).repeat(2, axis=2), voxel_nm=(50, 12.5, 12.5)
    )
    table = measure(saved, tmp_path / "out", tmp_path / "ledger", image=fine).columns
    np.testing.assert_allclose(table["mean_intensity"], table["centroid_z"])


def test_agreement_is_the_share_of_axes_that_say_yes(tmp_path, saved, labels):
    votes = np.zeros((3, *SHAPE), np.uint8)
    votes[0] = 255 * (labels > 0)
    votes[1] = 255 * (labels == 4)
    votes[2] = 100 * (labels > 0)
    volume = save_votes(tmp_path, votes)
    table = measure(saved, tmp_path / "out", tmp_path / "ledger", votes=volume).columns
    np.testing.assert_allclose(table["agreement"], [1 / 3, 2 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize("bits", [32, 64])
def test_ids_of_any_size_and_types_of_columns_go_everywhere_unharmed(
    tmp_path, save_volume, labels, bits
):
    largest = 2**bits - 1
    values = labels.astype(f"uint{bits}")
    values[labels == 4] = largest
    saved = save_volume("large.zarr", values, voxel_nm=VOXEL_NM, kind="labels")
    result = measure(saved, tmp_path / "out", tmp_path / "l", parquet=True, meshes="precomputed")
    table = pd.read_parquet(tmp_path / "out" / "objects.parquet")
    assert table["id"].tolist() == pd.read_csv(result.table)["id"].tolist() == [2, 7, 9, largest]
    assert table["id"].dtype == "uint64"
    whole = ["voxels", "slices", "most_fragments", *(f"start_{axis}" for axis in "zyx")]
    assert {str(table[name].dtype) for name in whole} == {"int64"}
    assert str(table["touches_border"].dtype) == "bool"
    assert str(table["volume_um3"].dtype) == "float64"
    ome = json.loads((tmp_path / "large.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    found = [one["label-value"] for one in ome["image-label"]["properties"]]
    assert found == [2, 7, 9, largest]
    assert {type(one) for one in found} == {int}
    assert (tmp_path / "out" / "meshes" / f"{largest}.index").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # napari's own, while it is imported
def test_the_same_numbers_as_parquet_and_for_napari(tmp_path, saved, labels):
    from napari.layers import Labels

    result = measure(saved, tmp_path / "out", tmp_path / "ledger", parquet=True)
    table = pd.read_parquet(tmp_path / "out" / "objects.parquet")
    pd.testing.assert_frame_equal(table, pd.read_csv(result.table), rtol=1e-8, check_dtype=False)
    layer = Labels(labels, features=table.rename(columns={"id": "index"}))
    shown = layer.features.set_index("index")["volume_um3"]
    assert shown.to_dict() == dict(zip(table["id"], table["volume_um3"]))


def test_numbers_are_in_the_labels_own_metadata_and_these_stay_valid(tmp_path, saved):
    measure(saved, tmp_path / "out", tmp_path / "ledger")
    found = json.loads((tmp_path / "objects.zarr" / "zarr.json").read_text())
    properties = found["attributes"]["ome"]["image-label"]["properties"]
    assert [one["label-value"] for one in properties] == [2, 4, 7, 9]
    assert properties[1]["volume_um3"] == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.02)
    from volproc.volume.stored_arrays import model_error

    assert not model_error(saved.info.url, labels=True)
    again = open_volume(saved.info.url)
    assert again.fingerprint == saved.fingerprint  # else everything made from it would be remade


def test_meshes_are_written_for_those_that_are_asked_for(tmp_path, saved):
    import trimesh

    def written():
        return sorted(path.name for path in (tmp_path / "out" / "meshes").iterdir())

    result = measure(saved, tmp_path / "out", tmp_path / "l", meshes="ply", mesh_ids=(4,))
    assert written() == ["4.ply"]
    mesh = trimesh.load(tmp_path / "out" / "meshes" / "4.ply")
    assert mesh.is_watertight
    measure(saved, tmp_path / "out", tmp_path / "l", meshes="obj", mesh_error_nm=0.0)
    assert written() == ["2.obj", "4.obj", "7.obj", "9.obj"]
    assert result.meshes == str(tmp_path / "out" / "meshes")


class Killed(BaseException):
    """What no engine catches, as a kill is not caught."""


def killed_at_write(monkeypatch, number):
    """The process ends before write `number` from now is renamed; its half file stays."""
    real, left = os.replace, iter(range(number))

    def replace(source, target):
        if next(left, None) is None:
            raise Killed
        real(source, target)

    monkeypatch.setattr("volproc.volume.file_io.os.replace", replace)


MESHES = (
    {"meshes": "precomputed"},
    {"meshes": "ply", "mesh_ids": (4, 7)},
    {"meshes": "ply", "mesh_ids": (4,), "mesh_error_nm": 60.0},
    {"meshes": "obj", "mesh_ids": (7,), "closed": False},
)


@pytest.mark.parametrize("seed", range(4))
def test_the_folder_of_meshes_holds_what_was_asked_last_whatever_was_killed(
    tmp_path, saved, monkeypatch, seed
):
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(planning, "_core", lambda level: (30, 32, 72))
    out, ledger = tmp_path / "out", tmp_path / "ledger"
    deaths = 0
    for number in rng.permutation(len(MESHES)).tolist() * 2:
        with monkeypatch.context() as patch:
            killed_at_write(patch, int(rng.integers(0, 14)))
            try:
                measure(saved, out, ledger, **MESHES[number])
            except Killed:
                deaths += 1
    assert deaths >= 3
    (out / "meshes").mkdir(exist_ok=True)
    (out / "meshes" / "notes.txt").write_text("a person's own")
    measure(saved, out, ledger, **MESHES[seed])
    measure(saved, tmp_path / "fresh", tmp_path / "fresh" / "ledger", **MESHES[seed])
    found = files_of(out / "meshes")
    assert found.pop("notes.txt") == b"a person's own"
    assert found == files_of(tmp_path / "fresh" / "meshes")
    assert len(found) >= 1


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_no_objects_give_a_header(tmp_path, save_volume):
    empty = save_volume("empty.zarr", np.zeros((8, 8, 8), np.uint16), kind="labels")
    result = measure(empty, tmp_path / "out", tmp_path / "ledger", parquet=True, meshes="ply")
    assert result.objects == 0
    table = pd.read_csv(result.table)
    assert len(table) == 0
    assert {"id", "volume_um3", "surface_um2", "fragments_per_slice"} <= set(table)


def test_not_a_number_outside_of_objects_does_no_harm(tmp_path, save_volume, saved, labels):
    image = np.where(labels > 0, 1.5, np.nan).astype(np.float32)
    good = save_volume("good.zarr", image, voxel_nm=VOXEL_NM)
    table = measure(saved, tmp_path / "out", tmp_path / "ledger", image=good).columns
    np.testing.assert_allclose(table["mean_intensity"], 1.5)


@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (np.nan, "f4", r"not a number \(NaN\)"),
        (np.inf, "f4", "infinite or too large to add"),
        (-np.inf, "f8", "infinite or too large to add"),
        (1.7e308, "f8", "infinite or too large to add"),
    ],
)
def test_an_intensity_that_is_no_number_is_refused(
    tmp_path, save_volume, saved, labels, value, dtype, said
):
    image = np.where(labels > 0, 1.5, 0).astype(dtype)
    places = np.argwhere(labels == labels.max())[:2]
    image[tuple(places.T)] = value
    bad = save_volume("bad.zarr", image, voxel_nm=VOXEL_NM)
    with pytest.raises(VolprocError, match=f"bad.zarr, under voxels .* voxels that are {said} in"):
        measure(saved, tmp_path / "bad", tmp_path / "2", image=bad)


def test_grids_that_do_not_cover_the_same_space_are_refused(save_volume, saved):
    other = save_volume("other.zarr", np.zeros((30, 32, 72), np.uint8), voxel_nm=VOXEL_NM)
    with pytest.raises(VolumeError, match="need the same field of view"):
        plan_measure(saved.info, "out", MeasureOptions(), image=other.info)


def test_labels_of_a_part_of_the_image_take_the_values_under_them(tmp_path, save_volume, labels):
    image = np.random.default_rng(0).integers(0, 250, labels.shape).astype(np.uint8)
    whole = save_volume("image.zarr", image, voxel_nm=VOXEL_NM, corner_nm=(900, 0, -70))
    cut = (slice(2, None), slice(3, -1), slice(0, -2))
    corner = (900 + 2 * VOXEL_NM[0], 3 * VOXEL_NM[1], -70)
    part = save_volume("part.zarr", labels[cut], voxel_nm=VOXEL_NM, corner_nm=corner, kind="labels")
    table = pd.read_csv(measure(part, tmp_path / "out", tmp_path / "records", image=whole).table)
    for identifier, mean in zip(table["id"], table["mean_intensity"]):
        assert mean == pytest.approx(image[cut][labels[cut] == identifier].mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("corner", "said"),
    [((1e6, 1e6, 1e6), "they meet nowhere"), ((0, 100, 0), "of which it covers a part only")],
)
def test_an_image_that_lies_elsewhere_is_refused(save_volume, labels, corner, said):
    here = save_volume("here.zarr", labels, voxel_nm=VOXEL_NM, corner_nm=(0, 0, 0), kind="labels")
    image = save_volume("there.zarr", labels, voxel_nm=VOXEL_NM, corner_nm=corner)
    with pytest.raises(VolumeError, match=said):
        plan_measure(here.info, "out", MeasureOptions(), image=image.info)


def test_what_are_no_labels_and_no_votes_is_refused(tmp_path, save_volume, saved):
    floats = save_volume("floats.zarr", np.zeros((8, 8, 8), np.float32))
    with pytest.raises(VolumeError, match="objects need labels"):
        plan_measure(floats.info, "out", MeasureOptions())
    grey = save_volume("grey.zarr", np.full((8, 8, 8), 7, np.uint8))
    with pytest.raises(VolumeError, match=r"grey\.zarr is an image; give its labels"):
        plan_measure(grey.info, "out", MeasureOptions())
    with pytest.raises(VolumeError, match="has no channels"):
        plan_measure(saved.info, "out", MeasureOptions(), votes=saved.info)
    votes = save_votes(tmp_path, np.zeros((3, *SHAPE), np.uint8))
    with pytest.raises(VolumeError, match=r"has channels \(x, y, z\)"):
        plan_measure(saved.info, "out", MeasureOptions(), image=votes.info)


def test_negative_ids_are_refused(tmp_path, save_volume):
    labels = save_volume("negative.zarr", np.full((8, 8, 8), -1, np.int32), kind="labels")
    with pytest.raises(VolprocError, match="holds values below 0"):
        measure(labels, tmp_path / "out", tmp_path / "ledger")


def test_parts_removed_by_hand_are_made_again_and_those_of_another_run_are_not_trusted(
    tmp_path, saved
):
    first = measure(saved, tmp_path / "out", tmp_path / "ledger")
    shutil.rmtree(tmp_path / "out" / "parts")
    again = measure(saved, tmp_path / "out", tmp_path / "ledger")
    np.testing.assert_array_equal(first.columns["surface_um2"], again.columns["surface_um2"])
    other = tmp_path / "out" / "parts" / "0.objects"
    other.write_bytes(other.read_bytes().replace(b'"digest": "', b'"digest": "0', 1))
    with pytest.raises(LedgerError, match="with other options"):
        measure(saved, tmp_path / "out", tmp_path / "ledger")


def test_without_the_package_parquet_is_refused_by_name(tmp_path, saved, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[parquet\]'"):
        measure(saved, tmp_path / "out", tmp_path / "ledger", parquet=True)


def test_labels_without_objects_are_explained(save_volume, tmp_path):
    empty = save_volume("empty.zarr", np.zeros(SHAPE, np.uint32), voxel_nm=VOXEL_NM, kind="labels")
    made = measure(empty, tmp_path / "out", tmp_path / "run")
    assert (made.objects, made.why) == (
        0,
        f"no objects: every voxel of {empty.info.url} is 0",
    )


def test_labels_with_objects_are_not_explained(saved, tmp_path):
    assert measure(saved, tmp_path / "out", tmp_path / "run").why == ""

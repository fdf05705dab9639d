import numpy as np
import pytest
import tifffile

from volproc.config import IngestOptions
from volproc.errors import IngestError, VolprocError
from volproc.stages.ingest.slices import matched, matching, moments
from volproc.stages.ingest.stage import plan_ingest, run_ingest

RNG = np.random.default_rng(8)
STACK = RNG.integers(1, 250, (21, 90, 70), dtype="uint8")


def ingested(path, runner, **options):
    url = str(path.parent / "out.zarr")
    plan = plan_ingest(path, url, IngestOptions(**{"voxel_nm": (50, 10, 10), **options}))
    volume = run_ingest(plan, runner)
    return volume.info, volume.read(volume.info.box)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize(
    "writing",
    [{}, {"compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"}, {"rowsperstrip": 7}],
    ids=["plain", "compressed", "big", "big-endian", "strips"],
)
def test_a_stack_comes_back_voxel_by_voxel(tmp_path, runner, dtype, writing):
    values = STACK.astype(dtype)
    byteorder = writing.pop("byteorder", "<") if "byteorder" in writing else "<"
    bigtiff = writing.get("bigtiff", False)
    more = {k: v for k, v in writing.items() if k != "bigtiff"}
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=bigtiff, byteorder=byteorder) as file:
        file.write(values, photometric="minisblack", **more)
    info, found = ingested(tmp_path / "a.tif", runner)
    assert np.array_equal(found, values)
    assert (info.dtype, info.voxel_nm) == (dtype, (50, 10, 10))


def write_series(folder, numbers, values=STACK, name="slice_{}.tif"):
    folder.mkdir()
    for number, plane in zip(numbers, values):
        tifffile.imwrite(folder / name.format(number), plane, compression="packbits")


def test_a_series_is_sorted_by_its_numbers(tmp_path, runner):
    write_series(tmp_path / "s", range(1, 22))
    _, found = ingested(tmp_path / "s", runner)
    assert np.array_equal(found, STACK)


def test_a_gap_is_refused_or_filled_with_the_slice_before(tmp_path, runner):
    write_series(tmp_path / "s", [1, 2, 4])
    with pytest.raises(IngestError, match=r"1 slices are missing before slice_4\.tif .*\"repeat\""):
        ingested(tmp_path / "s", runner)
    _, found = ingested(tmp_path / "s", runner, missing="repeat")
    assert np.array_equal(found, STACK[[0, 1, 1, 2]])


def test_imagej_and_ome_state_the_voxel_size(tmp_path, runner):
    tifffile.imwrite(
        tmp_path / "ij.tif",
        STACK,
        imagej=True,
        resolution=(100.0, 125.0),  # x, y: pixels per µm
        metadata={"spacing": 0.05, "unit": "um", "axes": "ZYX"},
    )
    info, found = ingested(tmp_path / "ij.tif", runner, voxel_nm=None)
    assert info.voxel_nm == pytest.approx((50, 8, 10))
    assert np.array_equal(found, STACK)
    sizes = {"PhysicalSizeZ": 40, "PhysicalSizeY": 6, "PhysicalSizeX": 5}
    units = {f"{k}Unit": "nm" for k in sizes}
    tifffile.imwrite(
        tmp_path / "a.ome.tif", STACK, ome=True, metadata={"axes": "ZYX", **sizes, **units}
    )
    info, found = ingested(tmp_path / "a.ome.tif", runner, voxel_nm=None)
    assert info.voxel_nm == pytest.approx((40, 6, 5))
    assert np.array_equal(found, STACK)


def test_labels_get_a_pyramid_of_labels(tmp_path, runner):
    values = np.kron(RNG.integers(0, 3, (1, 3, 3)), np.ones((2, 150, 150))).astype("uint16") * 1000
    tifffile.imwrite(tmp_path / "l.tif", values, photometric="minisblack")
    plan = plan_ingest(
        tmp_path / "l.tif",
        str(tmp_path / "l.zarr"),
        IngestOptions(voxel_nm=(50, 10, 10), labels=True),
    )
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
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    info, found = ingested(tmp_path / "a.tif", runner, match_slices=True)
    means, spreads = np.array([moments(plane) for plane in np.delete(found, 5, axis=0)]).T
    assert np.ptp(means) < 1
    assert np.ptp(spreads) < 1
    assert (found[5] == 0).all()
    assert (found[2, :4] == 255).all()
    assert len(info.made_by["slice_scale_offset"]) == 21


def test_matching_is_the_identity_for_equal_slices():
    table = matching([(100.0, 20.0)] * 3)
    assert np.array_equal(matched(STACK[:3], table), STACK[:3])
    assert matching([(0.0, 0.0)] * 2) == ((1.0, 0.0), (1.0, 0.0))


def wrong_files(folder):
    """Wrong inputs by name: what is written, and the message it must give."""
    tifffile.imwrite(folder / "colour.tif", np.zeros((8, 9, 3), "uint8"), photometric="rgb")
    tifffile.imwrite(folder / "double.tif", np.zeros((4, 8, 9)), photometric="minisblack")
    (folder / "text.tif").write_text("no image at all")
    (folder / "empty").mkdir()
    write_series(folder / "sizes", [1, 2], [np.zeros((8, 8), "uint8"), np.zeros((8, 9), "uint8")])
    write_series(folder / "types", [1, 2], [np.zeros((8, 8), "uint8"), np.zeros((8, 8), "uint16")])
    write_series(folder / "bare", [1], name="slice.tif")
    write_series(folder / "stacks", [1], [STACK])
    write_series(folder / "twice", ["01", "1"])
    whole = folder / "whole.tif"
    tifffile.imwrite(whole, STACK, compression="zlib", photometric="minisblack")
    (folder / "short.tif").write_bytes(whole.read_bytes()[:20_000])
    tifffile.imwrite(
        folder / "nan.tif", np.full((2, 8, 8), np.nan, "float32"), photometric="minisblack"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.tif", "does not exist"),
        ("colour.tif", "a volume needs grey planes"),
        ("double.tif", "holds float64 voxels; expected one of uint8"),
        ("text.tif", "is not a TIFF file"),
        ("empty", "holds no TIFF slices"),
        ("sizes", "all slices need one size and type"),
        ("types", "all slices need one size and type"),
        ("bare", "has no number in its name"),
        ("stacks", "a folder needs one plane per file"),
        ("twice", "two slices of number 1"),
        ("short.tif", r"cannot read .*short\.tif"),
        ("nan.tif", "NaN"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_trusted_is_left(tmp_path, runner, name, message):
    from volproc.volume.store import open_volume

    wrong_files(tmp_path)
    with pytest.raises(VolprocError, match=message) as caught:
        ingested(tmp_path / name, runner)
    assert "\n" not in str(caught.value)
    with pytest.raises(VolprocError):
        open_volume(tmp_path / "out.zarr")


def test_a_voxel_size_must_come_from_somewhere(tmp_path, runner):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    with pytest.raises(IngestError, match="states no voxel size; give it with --voxel-nm"):
        ingested(tmp_path / "a.tif", runner, voxel_nm=None)


@pytest.mark.real
def test_a_real_series_with_a_gap(real_data, tmp_path, runner):
    plan = plan_ingest(
        real_data / "hela-slices",
        str(tmp_path / "out.zarr"),
        IngestOptions(voxel_nm=(50, 10, 10), missing="repeat"),
    )
    volume = run_ingest(plan, runner)
    assert volume.info.shape == (4, 2000, 2000)
    planes = volume.read(volume.info.box)
    assert np.array_equal(planes[1], planes[2])
    assert not np.array_equal(planes[2], planes[3])

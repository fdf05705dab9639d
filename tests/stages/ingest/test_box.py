"""A part of a source: only it is read, and it lies where it was."""

import numpy as np
import pytest
import tifffile

from volproc.errors import GridError, OutputError
from volproc.stages.ingest.options import IngestOptions
from volproc.stages.ingest.stage import plan_ingest, run_ingest
from volproc.volume import metadata

VALUES = np.random.default_rng(8).integers(1, 250, (21, 90, 70), dtype="uint8")
BOX, PART = "3:15,20:84,:41", np.s_[3:15, 20:84, :41]


def planned(path, folder, **options):
    options = IngestOptions(**{"voxel_nm": (50, 10, 10), "box": BOX, **options})
    return plan_ingest(str(path), str(folder / "out.zarr"), options)


def written(folder, kind):
    """The same voxels as a stack, read by rows or by planes, or as a series."""
    if kind == "series":
        (folder / "s").mkdir()
        for n, plane in enumerate(VALUES):
            tifffile.imwrite(folder / "s" / f"{n:03}.tif", plane, compression="zlib")
        return folder / "s"
    how = {"compression": "zlib"} if kind == "planes" else {}
    tifffile.imwrite(folder / "a.tif", VALUES, photometric="minisblack", **how)
    return folder / "a.tif"


@pytest.mark.parametrize("kind", ["rows", "planes", "series"])
def test_a_part_is_that_part_of_the_whole(tmp_path, any_runner, monkeypatch, kind):
    monkeypatch.setattr(metadata, "SHARD_BYTES", 2**13)
    made = run_ingest(planned(written(tmp_path, kind), tmp_path), any_runner)
    assert np.array_equal(made.read(made.info.box), VALUES[PART])
    assert made.info.corner_nm == pytest.approx((3 * 50 - 25, 20 * 10 - 5, -5))
    assert made.info.is_part


def test_only_the_files_of_the_part_are_read(tmp_path, runner):
    folder = written(tmp_path, "series")
    plan = planned(folder, tmp_path)
    for n in (1, 2, 15, 19):
        (folder / f"{n:03}.tif").write_bytes(b"damaged")
    made = run_ingest(plan, runner)
    assert np.array_equal(made.read(made.info.box), VALUES[PART])


def test_a_part_of_what_has_a_place_keeps_it(save_volume, tmp_path, runner):
    source = save_volume("in.zarr", VALUES, voxel_nm=(50, 10, 10), corner_nm=(1000, 0, 500))
    made = run_ingest(planned(source.info.url, tmp_path, box="0:0.5um,100:500nm,10:20"), runner)
    assert np.array_equal(made.read(made.info.box), VALUES[:10, 10:50, 10:20])
    assert made.info.corner_nm == pytest.approx((1000, 100, 600))


def test_another_voxel_size_keeps_the_place_in_voxels(save_volume, tmp_path, runner):
    source = save_volume("in.zarr", VALUES, voxel_nm=(50, 10, 10), corner_nm=(1000, 0, 500))
    made = run_ingest(planned(source.info.url, tmp_path, voxel_nm=(100, 20, 20)), runner)
    whole = plan_ingest(
        source.info.url, str(tmp_path / "w.zarr"), IngestOptions(voxel_nm=(100, 20, 20))
    )
    first = (3 * 100, 20 * 20, 0)
    wanted = [c + n for c, n in zip(whole.output.corner_nm, first)]
    assert made.info.corner_nm == pytest.approx(wanted)


def test_constants_are_those_of_the_part(tmp_path, runner):
    values = VALUES.astype("uint16") * 100
    values[0], values[-1] = 60000, 60000
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    plan = planned(tmp_path / "a.tif", tmp_path, dtype="uint8", match_slices=True)
    made = run_ingest(plan, runner)
    assert len(made.info.provenance["slice_scale_offset"]) == 12
    assert made.info.provenance["grey_range"][1] < 40000
    assert np.ptp(made.read(made.info.box)) == 255


def test_filled_slices_are_counted_from_the_part(tmp_path, runner):
    folder = written(tmp_path, "series")
    for n in (1, 5, 18):
        (folder / f"{n:03}.tif").unlink()
    made = run_ingest(planned(folder, tmp_path, missing="repeat"), runner)
    assert made.info.provenance["filled_slices"] == [2]
    assert np.array_equal(made.read(made.info.box)[2], VALUES[4][PART[1:]])


def test_a_plan_costs_the_part_only(tmp_path):
    path = written(tmp_path, "planes")
    part, whole = (planned(path, tmp_path, box=box).steps[0] for box in (BOX, ""))
    assert part.bytes_read == VALUES[PART].size
    assert part.bytes_written < whole.bytes_written
    assert part.peak_bytes > VALUES[0].size


def test_the_whole_as_a_box_is_the_whole(tmp_path):
    path = written(tmp_path, "rows")
    plans = [planned(path, tmp_path, box=box) for box in ("", ":,:,:", "1000")]
    assert len({plan.digest for plan in plans}) == 1
    assert not any(plan.output.is_part for plan in plans)


def test_another_box_is_another_result(tmp_path, runner):
    path = written(tmp_path, "rows")
    run_ingest(planned(path, tmp_path), runner)
    with pytest.raises(OutputError, match=r"made otherwise .*box: "):
        run_ingest(planned(path, tmp_path, box="0:5,:,:"), runner)


@pytest.mark.parametrize("box", ["0:22,:,:", ":,90:91,:", "0:10um,:,:"])
def test_a_box_outside_the_source_is_refused(tmp_path, box):
    with pytest.raises(GridError, match="and the volume has"):
        planned(written(tmp_path, "rows"), tmp_path, box=box)

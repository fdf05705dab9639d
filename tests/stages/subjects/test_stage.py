import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from volproc import SubjectsOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import AnnotateError, MemoryLimitError, OutputError, VolprocError
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.annotate.export.subject_metadata import read_manifest
from volproc.stages.pictures import grey
from volproc.stages.subjects import stage
from volproc.stages.subjects.frames import CutFrames
from volproc.stages.subjects.manifest import files_of, from_csv
from volproc.stages.subjects.stage import plan_subjects, run_subjects
from volproc.volume.metadata import new_volume

ROIS = ((3, 10, 20, 12, 40, 50), (0, 0, 0, 40, 70, 90))


@pytest.fixture
def volume(save_volume, noise):
    return save_volume("image.zarr", noise, voxel_nm=(50, 10, 10))


def options(**more):
    return SubjectsOptions(**{"rois": ROIS, "format": "png", "attribution": "A. N.", **more})


def cut(volume, folder, runner, **more):
    plan = plan_subjects(volume.info, str(folder), options(**more))
    manifest = run_subjects(plan, runner)
    with open(manifest) as file:
        return from_csv(file.read(), name=manifest)


def files_in(folder):
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    del found["made.json"]  # it tells how the work was cut
    return found


def test_frames_show_the_slices_that_their_rows_name(tmp_path, volume, noise, any_runner):
    rows = cut(volume, tmp_path / "out", any_runner, every=4)
    assert [row["slice"] for row in rows] == ["0", "4", "8", *map(str, range(0, 40, 4))]
    for row in rows:
        z, y, x = (int(row[f"roi_{axis}"]) for axis in "zyx")
        d, h, w = (int(row[f"roi_{name}"]) for name in ("depth", "height", "width"))
        region = noise[z : z + d, y : y + h, x : x + w]
        files = files_of(row)
        first = int(row["slice"]) - int(row["default_frame"]) + 1
        for n, name in enumerate(files):
            shown = np.asarray(Image.open(tmp_path / "out" / name))
            low, high = float(row["low"]), float(row["high"])
            assert np.array_equal(shown, grey(region[first + n], low=low, high=high))


def test_annotate_finds_the_regions_of_the_manifest(tmp_path, volume, runner):
    plan = plan_subjects(volume.info, str(tmp_path / "out"), options())
    found = read_manifest(run_subjects(plan, runner))
    assert found.regions == {region.name: region.box for region in plan.regions}
    assert len(found.subjects) == 12 + 40


def test_a_region_has_one_contrast_from_its_own_voxels(tmp_path, volume, noise, runner):
    rows = cut(volume, tmp_path / "out", runner)
    small = {(row["low"], row["high"]) for row in rows[:12]}
    assert len(small) == 1
    low, high = map(float, small.pop())
    part = noise[3:15, 10:50, 20:70]
    assert np.percentile(part, 0) <= low <= np.percentile(part, 2)
    assert np.percentile(part, 98) <= high <= np.percentile(part, 100)


def test_frames_that_subjects_share_are_there_once(tmp_path, volume, runner):
    rows = cut(volume, tmp_path / "out", runner)
    named = {name for row in rows for name in files_of(row)}
    images = {name for name in files_in(tmp_path / "out") if name.endswith(".png")}
    assert images == named
    assert len(images) == 12 + 40


def test_slabs_never_change_the_images(tmp_path, volume, runner, monkeypatch):
    cut(volume, tmp_path / "one", runner, scale=0.3)
    monkeypatch.setattr(stage, "SLAB_BYTES", 1)
    other = Runner(SerialEngine(), tmp_path / "other")
    cut(volume, tmp_path / "two", other, scale=0.3)
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")


def test_cut_off_and_run_again_it_ends_the_same(tmp_path, volume, runner, monkeypatch):
    monkeypatch.setattr(stage, "SLAB_BYTES", 1)
    cut(volume, tmp_path / "whole", runner, format="jpeg")
    store, done = CutFrames.store, []

    def dies(self, block, result):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(block.index)
        return store(self, block, result)

    second = Runner(SerialEngine(), tmp_path / "second")
    monkeypatch.setattr(CutFrames, "store", dies)
    with pytest.raises(KeyboardInterrupt):
        cut(volume, tmp_path / "out", second, format="jpeg")
    assert not (tmp_path / "out" / "manifest.csv").exists()
    again = []
    monkeypatch.setattr(
        CutFrames, "store", lambda self, b, r: (again.append(b.index), store(self, b, r))[1]
    )
    cut(volume, tmp_path / "out", second, format="jpeg")
    assert files_in(tmp_path / "out") == files_in(tmp_path / "whole")
    assert sorted(done + again) == list(range(12 + 40))


def test_a_folder_that_was_emptied_is_filled_again(tmp_path, volume, runner):
    cut(volume, tmp_path / "out", runner)
    before = files_in(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    cut(volume, tmp_path / "out", runner)
    assert files_in(tmp_path / "out") == before


def test_another_attribution_writes_the_manifest_only(tmp_path, volume, runner, monkeypatch):
    cut(volume, tmp_path / "out", runner)
    monkeypatch.setattr(CutFrames, "load", lambda *a: pytest.fail("images were cut again"))
    rows = cut(volume, tmp_path / "out", runner, attribution="B. B.")
    assert {row["Attribution"] for row in rows} == {"B. B."}


def test_images_are_small_enough_and_their_quality_is_told(tmp_path, volume, runner):
    rows = cut(volume, tmp_path / "out", runner, format="jpeg", largest_bytes=2500)
    for row in rows:
        for name in files_of(row):
            content = (tmp_path / "out" / name).read_bytes()
            assert len(content) <= 2500
            assert Image.open(BytesIO(content)).format == "JPEG"
    qualities = {int(row["jpeg quality (%)"]) for row in rows}
    assert min(qualities) < 95


def test_an_image_too_large_for_its_limit_stops_the_run(tmp_path, volume, runner):
    with pytest.raises(VolprocError, match=r"ROI_45-30-9_z001: 50 x 40 pixels take .* make scale"):
        cut(volume, tmp_path / "out", runner, format="jpeg", largest_bytes=300)


def test_what_others_made_is_left_alone(tmp_path, volume, runner):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="exists and was not written by volproc"):
        cut(volume, folder, runner)
    cut(volume, tmp_path / "mine", runner)
    before = files_in(tmp_path / "mine")
    with pytest.raises(OutputError, match=r"made otherwise \(scale: 1.0 -> 0.5\)"):
        cut(volume, tmp_path / "mine", runner, scale=0.5)
    assert files_in(tmp_path / "mine") == before
    (tmp_path / "mine" / "made.json").write_text("[broken")
    with pytest.raises(OutputError, match="choose another name"):
        cut(volume, tmp_path / "mine", runner)


def test_only_grey_images_are_shown(save_volume, noise):
    labels = save_volume("labels.zarr", noise, kind="labels").info
    votes = new_volume(
        "v.zarr", shape=(9, 9, 9), voxel_nm=parse_voxel_nm((1, 1, 1)), dtype="u1", channels=("x",)
    )
    for info, what in ((labels, "labels"), (votes, "channels")):
        with pytest.raises(AnnotateError, match=f"holds {what}; volunteers are shown a grey"):
            plan_subjects(info, "out", options())


def test_plan_tells_what_will_be_made_without_reading():
    nm = parse_voxel_nm((50, 10, 10))
    image = new_volume("none.zarr", shape=(518, 8192, 8192), voxel_nm=nm, dtype="uint8")
    plan = plan_subjects(image, "out", SubjectsOptions(rois=((0, 0, 0, 300, 2000, 2000),)))
    contrast, frames = plan.steps
    assert plan.images == 300
    assert contrast.bytes_read < 10_000_000
    assert frames.bytes_read == 300 * 2000 * 2000
    assert len(frames.blocks) == 10
    assert 32 * 2000 * 2000 < frames.peak_bytes < 400_000_000


def test_a_plan_that_does_not_fit_a_worker_is_refused(tmp_path, volume):
    runner = Runner(SerialEngine(worker_bytes=1000), tmp_path / "ledger")
    with pytest.raises(MemoryLimitError):
        cut(volume, tmp_path / "out", runner)


def test_the_record_names_the_image(tmp_path, volume, runner):
    cut(volume, tmp_path / "out", runner)
    found = json.loads((tmp_path / "out" / "made.json").read_text())
    assert found["recipe"]["places"] == {"image": "../image.zarr"}

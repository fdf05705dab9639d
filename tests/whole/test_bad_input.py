"""Input that cannot work: one clear line, exit code 2, and nothing left that a run would trust."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import tifffile
import zarr

from volproc.errors import VolumeError
from volproc.volume.store import open_volume

GREY = np.random.default_rng(6).integers(60, 190, (16, 40, 40), dtype=np.uint8)


@pytest.fixture
def workflow(tmp_path, tiny_model):
    """workflow(source, more): the arguments that run it, here and alone."""

    def write(source, more="", cluster="", predict=""):
        (tmp_path / "w.toml").write_text(
            f'[run]\nsource = "{source}"\nfolder = "run"\n[cluster]\nkind = "serial"\n{cluster}\n'
            f'[predict]\nmodel = "{tiny_model}"\ntile = [16, 20, 20]\nblock = [16, 20, 20]\n'
            f"{predict}\n[label]\nmin_volume_um3 = 0\n{more}\n"
        )
        return "run", tmp_path / "w.toml", "--quiet"

    return write


def assert_nothing_to_trust(folder):
    for path in folder.glob("run/*.zarr"):
        if path.name != "image.zarr":
            with pytest.raises(VolumeError):
                open_volume(path)
    for name in ("objects.csv", "scores.json", "report.html"):
        assert not (folder / "run" / name).exists()


# ---------------------------------------------------------------- sources


@pytest.mark.parametrize("name", ["lost.tif", "lost.zarr", "lost.zarr/labels/nuclei"])
def test_a_source_that_is_not_there(tmp_path, refused, workflow, name):
    refused(tmp_path / name, "does not exist; expected", by=workflow(tmp_path / name))
    assert_nothing_to_trust(tmp_path)


def test_a_source_that_is_something_else(tmp_path, refused, workflow):
    (tmp_path / "notes.tif").write_text("not a picture")
    refused("notes.tif is not a TIFF file", by=workflow(tmp_path / "notes.tif"))
    (tmp_path / "folder.zarr").mkdir()
    refused("folder.zarr is not an OME-Zarr volume", by=workflow(tmp_path / "folder.zarr"))
    zarr.create_array(tmp_path / "array.zarr", data=GREY)
    refused("array.zarr is not an OME-Zarr", by=workflow(tmp_path / "array.zarr"))
    zarr.create_group(tmp_path / "group.zarr", attributes={"colour": "grey"})
    refused(
        "group.zarr is not an OME-Zarr image",
        "volproc ingest",
        by=workflow(tmp_path / "group.zarr"),
    )
    (tmp_path / "empty").mkdir()
    refused("empty holds no image file", by=workflow(tmp_path / "empty"))
    (tmp_path / "file.zarr").write_text("?")
    refused("file.zarr is not an OME-Zarr", by=workflow(tmp_path / "file.zarr"))
    assert_nothing_to_trust(tmp_path)


@pytest.mark.parametrize("left", [0, 100, -50])
def test_a_chunk_that_was_cut_short(tmp_path, refused, workflow, save_volume, left):
    volume = save_volume("image.zarr", GREY)
    chunk = max((tmp_path / "image.zarr" / "0" / "c").rglob("*"), key=lambda p: p.is_file())
    os.truncate(chunk, left if left >= 0 else chunk.stat().st_size + left)
    words = ("image.zarr level 0", "may be cut short") if left else ("was written and is empty",)
    refused(*words, by=workflow(volume.info.url))
    assert_nothing_to_trust(tmp_path)


def test_a_tiff_that_was_cut_short(tmp_path, refused, workflow):
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression="zlib")
    os.truncate(tmp_path / "a.tif", (tmp_path / "a.tif").stat().st_size * 3 // 4)
    chosen = workflow(tmp_path / "a.tif", more="[ingest]\nvoxel_nm = [50, 50, 50]")
    refused("a.tif", "cut short", by=chosen)
    assert_nothing_to_trust(tmp_path)
    assert not (tmp_path / "run" / "image.zarr").exists()


def bad_files(folder):
    """What microscopes and people leave: by name, each wrong in its own way."""
    series = {"sizes": GREY[:3], "types": GREY[:3], "colour": GREY[:3]}
    for name, planes in series.items():
        (folder / name).mkdir()
        for n, plane in enumerate(planes):
            tifffile.imwrite(folder / name / f"s_{n}.tif", plane)
    tifffile.imwrite(folder / "sizes" / "s_2.tif", GREY[2, :30])
    tifffile.imwrite(folder / "types" / "s_2.tif", GREY[2].astype("uint16"))
    tifffile.imwrite(
        folder / "colour" / "s_2.tif",
        np.stack([GREY[2]] * 2 + [255 - GREY[2]], -1),
        photometric="rgb",
    )
    tifffile.imwrite(
        folder / "rgb.tif", np.arange(243, dtype="uint8").reshape(9, 9, 3), photometric="rgb"
    )
    (folder / "text.tif").write_text("not a picture")
    (folder / "text.dm4").write_text("not a picture")
    (folder / "empty").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes" / "read.me").write_text("nothing to see")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sizes", ("s_2.tif", "all slices need one size")),
        ("types", ("s_2.tif", "all slices need one size and type")),
        ("colour", ("s_2.tif", "grey")),
        ("rgb.tif", ("rgb.tif", "grey")),
        ("text.tif", ("is not a TIFF file",)),
        ("text.dm4", ("text.dm4",)),
        ("empty", ("holds no image file", "read are TIFF")),
        ("notes", ("holds no image file among 1 files",)),
        ("EMPIAR-1", ("does not exist",)),
    ],
)
def test_files_that_are_no_volume(tmp_path, refused, name, words):
    bad_files(tmp_path)
    out = tmp_path / "out.zarr"
    source = name if name.startswith("EMPIAR") else tmp_path / name
    refused(*words, by=("ingest", source, out, "--serial", "--voxel-nm", 50, 50, 50))
    assert not out.exists()


@pytest.mark.real
@pytest.mark.parametrize("name", ["dm/ref_T_2_1.dm4", "dm/ref_T_2_1.dm3", "mrc/EMD-3197.map"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_real_files_that_were_cut_short(tmp_path, real_data, refused, name, part):
    whole = max((real_data / name).parent.glob(f"*{os.path.splitext(name)[1]}"))
    content = whole.read_bytes()
    cut = tmp_path / whole.name
    cut.write_bytes(content[: int(part * len(content))])
    by = ("ingest", cut, tmp_path / "out.zarr", "--serial", "--voxel-nm", 50, 50, 50)
    refused(cut.name, by=by)
    assert not (tmp_path / "out.zarr").exists()


def test_an_ingest_that_fails_midway_is_not_taken_for_a_volume(tmp_path, refused, volproc):
    """A slice that cannot be decoded is found when it is read: `check` must not pass the rest."""
    (tmp_path / "s").mkdir()
    for n in range(40):
        tifffile.imwrite(tmp_path / "s" / f"s_{n:02}.tif", GREY[n % 16], compression="zlib")
    damaged = tmp_path / "s" / "s_35.tif"
    content = bytearray(damaged.read_bytes())
    content[-300:-200] = bytes(100)
    damaged.write_bytes(content)
    out = tmp_path / "out.zarr"
    command = ("ingest", tmp_path / "s", out, "--serial", "--voxel-nm", 50, 50, 50)
    refused("s_35.tif", by=command)
    code, _ = volproc("check", out, "--serial")
    assert code == 1
    tifffile.imwrite(damaged, GREY[35 % 16], compression="zlib")
    refused("files that have changed since", by=command)
    assert volproc(*command, "--changed", "redo")[0] == 0
    assert volproc("check", out, "--serial", "--deep")[0] == 0


@pytest.mark.parametrize("size", [(0, 50, 50), (50, -50, 50), (50, 50, "nan")])
def test_voxels_without_a_size(tmp_path, refused, workflow, size):
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    out = tmp_path / "out.zarr"
    refused("voxel", by=("ingest", tmp_path / "a.tif", out, "--serial", "--voxel-nm", *size))
    refused(
        "a.tif states no voxel size; give it with --voxel-nm Z Y X, or [ingest] voxel_nm",
        by=("ingest", tmp_path / "a.tif", out, "--serial"),
    )
    assert not out.exists()
    chosen = workflow(
        tmp_path / "a.tif", more=f"[ingest]\nvoxel_nm = {list(size)}".replace("'", "")
    )
    refused("[ingest] voxel_nm", by=chosen)
    refused("a.tif states no voxel size", by=workflow(tmp_path / "a.tif"))


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ([0, 50, 50], ("voxel", "--voxel-nm Z Y X")),
        ([50, -50, 50], ("an axis that runs backwards", "mirror its voxels")),
        ([50, 50], ("2 numbers of scale for 3 axes", "correct its metadata")),
        (None, ("voxel", "--voxel-nm Z Y X")),
    ],
)
def test_an_ome_zarr_without_a_voxel_size(tmp_path, refused, workflow, save_volume, scale, words):
    volume = save_volume("image.zarr", GREY)
    group = zarr.open_group(tmp_path / "image.zarr", mode="r+")
    ome = dict(group.attrs)["ome"]
    dataset = ome["multiscales"][0]["datasets"][0]
    dataset["coordinateTransformations"] = [{"type": "scale", "scale": scale}] if scale else []
    group.attrs.put({"ome": ome})
    refused("image.zarr", *words, by=workflow(volume.info.url))
    assert_nothing_to_trust(tmp_path)


def test_voxels_that_are_not_numbers(tmp_path, refused, workflow, save_volume):
    values = GREY.astype(np.float32)
    values[8, 30, 30] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", values)
    chosen = workflow(tmp_path / "a.tif", more="[ingest]\nvoxel_nm = [50, 50, 50]")
    refused("NaN", by=chosen)
    volume = save_volume("image.zarr", values)
    refused("image.zarr", "NaN", by=workflow(volume.info.url))
    assert_nothing_to_trust(tmp_path)


def test_labels_where_an_image_is_expected(tmp_path, refused, workflow, save_volume):
    volume = save_volume("labels.zarr", GREY, kind="labels")
    refused("labels.zarr is a label volume; predict needs the image", by=workflow(volume.info.url))
    assert_nothing_to_trust(tmp_path)


def test_a_truth_that_is_not_there_or_elsewhere(tmp_path, refused, workflow, save_volume):
    image = save_volume("image.zarr", GREY).info.url
    truth = '[evaluate]\nground_truth = "{}"'
    refused("lost.zarr does not exist", by=workflow(image, more=truth.format("lost.zarr")))
    small = save_volume("small.zarr", GREY[:4, :8, :8], kind="labels").info.url
    refused("small.zarr", by=workflow(image, more=truth.format(small)))


# ---------------------------------------------------------------- models and memory


def test_a_model_that_cannot_be_used(tmp_path, refused, workflow, save_volume):
    coarse = save_volume("coarse.zarr", GREY, voxel_nm=(500, 500, 500)).info.url
    refused("model tiny works at", "coarse.zarr has voxels of [500", by=workflow(coarse))
    image = save_volume("image.zarr", GREY).info.url
    run = workflow(image)
    refused("no-such-model", by=(*run, "--set", "predict.model=no-such-model"))
    (tmp_path / "empty-model").mkdir()
    refused("empty-model", "card.json", by=(*run, "--set", f"predict.model={tmp_path}/empty-model"))
    assert_nothing_to_trust(tmp_path)


def test_too_little_memory(tmp_path, refused, workflow, save_volume):
    image = save_volume("image.zarr", GREY).info.url
    chosen = workflow(image, cluster="worker_memory_gb = 0.6")
    refused("a block of predict needs", "a worker has 600 MB", "worker_memory_gb", by=chosen)
    assert_nothing_to_trust(tmp_path)


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[report]\nslice = 3", "unknown key [report] slice; did you mean 'slices'?"),
        ("[segment]\na = 1", "unknown key segment; known are run, cluster"),
        ("[evaluate]\nthreshold = 2", "[evaluate] threshold = 2"),
        ("[report", "is not a TOML file"),
    ],
)
def test_a_workflow_with_a_slip(tmp_path, refused, workflow, more, said):
    refused("w.toml", said, by=workflow("a.tif", more=more))
    assert not (tmp_path / "run").exists()


def test_commands_with_a_slip(tmp_path, refused, volproc, workflow):
    run = workflow("a.tif")
    for command in ("run", "plan"):
        refused(
            "unknown stage 'segment'; stages are ingest, filter, subjects, crowd, annotate, train",
            by=(command, run[1], "--stages", "predict,segment"),
        )
    refused("--set needs table.key=value, got 'x=1'", by=(*run, "--set", "x=1"))
    refused('[predict] fusion = "vote"', by=(*run, "--set", "predict.fusion=vote"))
    refused("cannot read the workflow file", "lost.toml", by=("run", tmp_path / "lost.toml"))
    refused("[run] source is missing", by=workflow(""))
    refused("is not a run's folder", by=("report", tmp_path))
    code, said = volproc("ruin", "w.toml")
    assert (code, "Traceback" in said) == (2, False)
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------- targets


def test_a_target_that_is_something_else(tmp_path, refused, workflow, save_volume):
    image = save_volume("image.zarr", GREY).info.url
    (tmp_path / "run" / "prediction.zarr").mkdir(parents=True)
    (tmp_path / "run" / "prediction.zarr" / "thesis.txt").write_text("years of work")
    refused(
        "prediction.zarr exists and was not written by volproc", "remove it", by=workflow(image)
    )
    assert (tmp_path / "run" / "prediction.zarr" / "thesis.txt").read_text() == "years of work"

    tifffile.imwrite(tmp_path / "a.tif", GREY)
    ingest = (
        "ingest",
        tmp_path / "a.tif",
        tmp_path / "o.zarr",
        "--serial",
        "--voxel-nm",
        50,
        50,
        50,
    )
    zarr.create_array(tmp_path / "o.zarr", data=GREY)
    refused("o.zarr exists and was not written by volproc", by=ingest)
    assert np.array_equal(zarr.open_array(tmp_path / "o.zarr", mode="r")[:], GREY)
    shutil.rmtree(tmp_path / "o.zarr")
    (tmp_path / "o.zarr").write_text("a file")
    refused("o.zarr exists and was not written by volproc", by=ingest)
    assert (tmp_path / "o.zarr").read_text() == "a file"

    shutil.rmtree(tmp_path / "run")
    (tmp_path / "run").write_text("a file")
    refused(tmp_path / "run", by=workflow(image))


def test_a_stage_without_the_one_before(tmp_path, refused, volproc, workflow, save_volume):
    """Neither absent nor unfinished volumes are read."""
    run = workflow(save_volume("image.zarr", GREY).info.url)
    refused("prediction.zarr", by=(*run, "--stages", "label"))
    assert volproc(*run, "--stages", "predict")[0] == 0
    settings = tmp_path / "run" / "prediction.zarr" / "zarr.json"
    settings.write_text(settings.read_text().replace('"finished": true', '"finished": false'))
    refused("prediction.zarr is unfinished", by=(*run, "--stages", "label"))
    assert volproc(*run, "--stages", "report")[0] == 0  # which says how far the run came
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<b>predict</b>: not finished" in page
    assert "<b>label</b>: not begun" in page
    assert not (tmp_path / "run" / "objects.zarr").exists()


# ---------------------------------------------------------------- disks


@pytest.fixture
def disk(tmp_path):
    """disk("size=2m"): a small disk of its own, or the same one with other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options, *, again=False):
        how = f"remount,{options}" if again else options
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", how, "tmpfs", place], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return place

    if shutil.which("mount") is None:
        pytest.skip("no mount command here")
    yield mount
    subprocess.run(["umount", place], capture_output=True)


def test_a_full_disk_and_more_space(tmp_path, refused, volproc, workflow, save_volume, disk):
    """The command stops at the first block without space, and completes once there is some."""
    grey = np.random.default_rng(7).integers(0, 255, (32, 120, 120), dtype=np.uint8)
    run = (
        *workflow(save_volume("image.zarr", grey).info.url),
        "--set",
        f"run.folder={tmp_path}/disk",
    )
    disk("size=400k")
    refused("No space left", "run the same command again", by=run)
    for name in ("prediction.zarr", "votes.zarr", "objects.zarr"):
        if (tmp_path / "disk" / name).exists():
            with pytest.raises(VolumeError, match="unfinished"):
                open_volume(tmp_path / "disk" / name)
    disk("size=40m", again=True)
    assert volproc(*run)[0] == 0
    assert open_volume(tmp_path / "disk" / "objects.zarr").info.shape == (32, 120, 120)
    assert [p for p in (tmp_path / "disk").rglob("*") if "partial" in p.name] == []


def test_a_disk_that_cannot_be_written(tmp_path, refused, workflow, save_volume, disk):
    image = save_volume("image.zarr", GREY).info.url
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    disk("size=2m")
    disk("ro", again=True)
    refused(
        "disk/run", "ead-only", by=(*workflow(image), "--set", f"run.folder={tmp_path}/disk/run")
    )
    out = tmp_path / "disk" / "out.zarr"
    voxel = ("--voxel-nm", 50, 50, 50)
    refused("disk/out.zarr", "ead-only", by=("ingest", tmp_path / "a.tif", out, "--serial", *voxel))
    assert not out.exists()

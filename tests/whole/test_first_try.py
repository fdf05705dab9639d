"""A part of a run: --box, a mask and a filter, from the command line to the report."""

import sys

import numpy as np
import pytest
import tifffile

from volproc import cli
from volproc.volume.store import open_volume

SHAPE = (24, 60, 70)


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """command("run", ...) in tmp_path: the exit code, and what was said, in one line."""
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["volproc", *map(str, argv)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return code or 0, " ".join(" ".join(capsys.readouterr()).split())

    return run


@pytest.fixture
def workflow(tmp_path, tiny_model, save_volume, noise):
    """workflow(source, more): a file of all that follows a prediction."""
    values = np.ascontiguousarray(noise[: SHAPE[0], : SHAPE[1], : SHAPE[2]])
    tifffile.imwrite(tmp_path / "stack.tif", values, photometric="minisblack")
    save_volume("image.zarr", values)
    save_volume("truth.zarr", (values > 120).astype("uint8"), kind="labels")

    def write(source, more=""):
        (tmp_path / "w.toml").write_text(
            f'[run]\nsource = "{source}"\n[cluster]\nkind = "serial"\n'
            "[ingest]\nvoxel_nm = [50, 50, 50]\n"
            "[label]\nmin_volume_um3 = 0.05\n[measure]\n"
            f'[evaluate]\nground_truth = "truth.zarr"\n{more}\n'
        )
        return "w.toml", "--set", f"predict.model={tiny_model}"

    return write


@pytest.mark.parametrize("box", ["0:12,0:40,0:30", "16"])
@pytest.mark.parametrize("source", ["stack.tif", "image.zarr"])
def test_a_run_on_a_part_ends_with_its_report(command, workflow, tmp_path, source, box):
    """At the corner of the image too, where a part has no position of its own."""
    given = workflow(source)
    code, said = command("plan", *given, "--box", box)
    assert code == 0, said
    code, said = command("run", *given, "--box", box, "--quiet")
    assert code == 0, said
    shape = {"0:12,0:40,0:30": (12, 40, 30), "16": (16, 16, 16)}[box]
    for name in ("prediction", "objects"):
        assert open_volume(tmp_path / "run" / f"{name}.zarr").info.shape == shape
    assert (tmp_path / "run" / "image.zarr").exists() == (source == "stack.tif")
    page = (tmp_path / "run" / "report.html").read_text()
    assert " × ".join(map(str, shape)) in page
    # the whole afterwards: what is there of the part is made again
    code, said = command("run", *given)
    assert code == 0, said
    assert "predict is remade: " in said
    assert open_volume(tmp_path / "run" / "prediction.zarr").info.shape == SHAPE


def test_a_run_filters_what_the_network_sees(command, workflow, tmp_path):
    given = workflow("image.zarr", '[filter]\nsteps = ["median 150", "gaussian 40"]')
    code, said = command("run", *given, "--box", "16x40x40")
    assert code == 0, said
    filtered = open_volume(tmp_path / "run" / "filtered.zarr")
    prediction = open_volume(tmp_path / "run" / "prediction.zarr").info
    assert filtered.info.shape == prediction.shape == (16, 40, 40)
    assert filtered.info.corner_nm == pytest.approx(prediction.corner_nm)
    command("filter", "image.zarr", "f.zarr", "--steps", "median 150", "--steps", "gaussian 40")
    whole = open_volume("f.zarr")
    part = whole.read(whole.info.box)[4:20, 10:50, 15:55]
    assert np.array_equal(filtered.read(filtered.info.box), part)


def test_predict_inside_a_mask(command, tmp_path, tiny_model, workflow, save_volume):
    workflow("image.zarr")
    inside = np.zeros(SHAPE, np.uint8)
    inside[4:9, 10:30, 20:41] = 1
    save_volume("mask.zarr", inside, kind="labels")
    code, said = command("predict", "image.zarr", tiny_model, "whole.zarr", "--serial")
    assert code == 0, said
    code, said = command(
        "predict", "image.zarr", tiny_model, "p.zarr", "--mask", "mask.zarr", "--serial"
    )
    assert code == 0, said
    whole, part = open_volume("whole.zarr"), open_volume("p.zarr")
    assert np.array_equal(part.read(part.info.box), whole.read(whole.info.box) * inside)


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        (("ingest", "stack.tif", "o.zarr", "--box", "5:1,:,:"), "the second end has to be beyond"),
        (("ingest", "stack.tif", "o.zarr", "--box", "0:99,:,:"), "names voxels 0:99, and the"),
        (("filter", "image.zarr", "o.zarr"), "steps names no operation"),
        (("filter", "image.zarr", "o.zarr", "--steps", "blur 5"), "'blur 5': no such operation"),
        (("filter", "image.zarr", "o.zarr", "--steps", "median inf"), "'inf' is not a length"),
        (("filter", "truth.zarr", "o.zarr", "--steps", "median 150"), "is a label volume; filter"),
        (("filter", "image.zarr", "image.zarr", "--steps", "median 150"), "same place as image"),
        (("run", "w.toml", "--box", "-5:5,:,:"), "-5 is negative; a volume begins at 0"),
        (("run", "w.toml", "--box", "middle"), "'middle' is no length; expected"),
        (("run", "w.toml", "--box", "99:,:,:"), "along z it names voxels 99:24, and the volume"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(command, workflow, tmp_path, argv, what):
    workflow("image.zarr")
    more = ("--voxel-nm", 50, 50, 50) if argv[0] == "ingest" else ()
    code, said = command(*argv, *more)
    assert code == 2
    assert what in said
    assert "Traceback" not in said
    assert not (tmp_path / "o.zarr").exists()
    assert not (tmp_path / "run").exists()

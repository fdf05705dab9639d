"""`volproc predict` with all that can be asked of it: what is said, written, and the exit code."""

import json
import sys

import numpy as np
import pytest

from volproc import cli
from volproc.stages.predict import seam_places
from volproc.volume.store import open_volume


@pytest.fixture
def command(monkeypatch, capsys, tmp_path, tiny_model):
    """command("--flips", ...): the exit code, and what was said."""
    monkeypatch.setattr(seam_places, "SIDE", 16)

    def run(*flags):
        names = (str(tmp_path / name) for name in ("image.zarr", "out.zarr"))
        image, url = names
        argv = ["volproc", "predict", image, str(tiny_model), url, "--serial", *flags]
        monkeypatch.setattr(sys, "argv", argv)
        for option in ("TILE", "BLOCK"):
            monkeypatch.setenv(f"VOLPROC_PREDICT__{option}", "[20, 16, 16]")
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return code, " ".join(" ".join(capsys.readouterr()).split())

    return run


@pytest.fixture
def votes(tmp_path):
    return str(tmp_path / "votes.zarr")


def test_everything_at_once(command, votes, save_volume, noise, tmp_path):
    image = save_volume("image.zarr", noise[:20, :36, :45], voxel_nm=(50, 50, 40))
    code, said = command(
        *("--votes", votes, "--fusion", "weighted", "--weights", "2", "1", "0.5", "--flips"),
        *(
            "--center-planes",
            "2",
            "--halo",
            "16",
            "--skip-empty-std",
            "0.01",
            "--agreement",
            "--disagreement",
        ),
        *("--regions-um", "0.5", "0.6", "0.6", "--image-grid", "--seam-check", "4"),
    )
    assert (code or 0) == 0, said
    assert "0 of 9 blocks hold nothing and were skipped" in said
    assert "seams certified: 4 places predicted again with other tiles" in said
    written = {path.name for path in tmp_path.glob("*") if not path.name.endswith(".volproc")}
    assert written == {
        *("image.zarr", "out.zarr", "out-native.zarr", "out-certificate.json"),
        *("votes.zarr", "votes-agreement.zarr", "votes-disagreement.zarr", "votes-regions.csv"),
    }
    assert open_volume(tmp_path / "out-native.zarr").info.shape == image.info.shape
    values, weights = open_volume(votes).read(open_volume(votes).info.box), (0.5, 1, 2)
    wanted = np.floor(np.average(values, axis=0, weights=weights) + 0.5)
    prediction = open_volume(tmp_path / "out.zarr")
    assert np.array_equal(prediction.read(prediction.info.box), wanted)


def test_a_halo_that_is_too_short_fails_its_certificate(command, save_volume, noise, tmp_path):
    save_volume("image.zarr", noise[:20, :36, :45])
    code, said = command("--halo", "4", "--seam-check", "6")
    assert code == 2
    assert "out.zarr is kept, but not certified: with other tiles its votes differ" in said
    assert json.loads((tmp_path / "out-certificate.json").read_text())["passed"] is False
    assert open_volume(tmp_path / "out.zarr").info.provenance["finished"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--halo", "wide"], "halo"),
        (["--fusion", "weighted", "--weights", "0", "0", "0"], "at least one of the viewing axes"),
        (["--agreement"], "compare the votes of the axes: keep them"),
        (["--center-planes", "3"], "keep an even number of up to 4"),
        (["--skip-empty-std", "-1"], "skip"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(command, save_volume, noise, flags, said, tmp_path):
    save_volume("image.zarr", noise[:20, :36, :45])
    code, told = command(*flags)
    assert code == 2
    assert said in told
    assert not (tmp_path / "out.zarr").exists()

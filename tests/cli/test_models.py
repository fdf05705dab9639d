"""volproc models: lists, cards as they are read, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from volproc.cli import app
from volproc.model.card import Calibration, Parent, TrainedOn
from volproc.model.model_folder import CARD
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import card_for, save_model

SPEC = UNetSpec(2, 2, (2, 3), stem=2, classes=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one model of ours."""
    torch.manual_seed(0)
    card = card_for(
        SPEC,
        name="two",
        voxel_nm=(50, 20, 20),
        classes=("nucleus", "er"),
        axes="z",
        purpose="nuclei and ER",
        limits="fails on tissue",
        trained_on=(TrainedOn(name="a ball", terms="CC0"),),
        parent=Parent(name="old", weights_sha256="c0ffee" * 9, changed=("voxel size: less",)),
        validation={"er": {"z": 0.81234}},
        calibration={
            "er": Calibration(
                temperature=1.7, ece_before=0.12, ece_after=0.03, curve=((0.5, 0.75),)
            )
        },
    )
    save_model(tmp_path / "models" / "two", UNet(SPEC), card)
    return tmp_path / "models"


def volproc(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["models", *words], catch_exceptions=False)
    return found.exit_code, " ".join(found.output.split())


def test_shipped_models_and_those_of_a_folder_are_listed(folder: Path) -> None:
    code, said = volproc("list", str(folder))
    assert code == 0
    for word in ("nuclei-50nm", "6.4", "50 x 20 x 20", "nucleus, er", "nuclei and ER"):
        assert word in said
    assert "nuclei and ER" not in volproc("list")[1]


def test_a_card_is_shown_with_its_parent_terms_limits_and_reliability(folder: Path) -> None:
    code, said = volproc("show", str(folder / "two"))
    assert code == 0
    for word in (
        "fails on tissue",
        "a ball: CC0",
        "old, weights c0ffeec0ffee",
        "voxel size: less",
        "z 0.8123",
        "er: temperature 1.7, calibration error 0.12, 0.03 after it",
        "0.50 0.75 " + "█" * 15,
    ):
        assert word in said


def test_check_says_what_is_wrong_by_its_exit_code(folder: Path) -> None:
    code, said = volproc("check", str(folder / "two"))
    assert (code, "nothing is wrong, see the notes" in said) == (0, True)
    path = folder / "two" / CARD
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": "0"}))
    code, said = volproc("check", str(folder / "two"))
    assert (code, "error: " in said, "SHA-256 differs" in said) == (1, True, True)


def test_what_int8_costs_is_shown() -> None:
    """Of the shipped model, which has quantised weights."""
    assert "of a million voxels change sides of 0.5" in volproc("show", "nuclei-50nm")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("quantise", "nuclei-50nm", "--images", "a.zarr"), "is a shipped model; give a folder"),
        (("show", "nothing"), "no model 'nothing': neither a folder nor shipped"),
        (("list", "nothing"), "nothing is not a folder; give one that holds model folders"),
        (("import-keras", "none.h5", "out"), "none.h5 is not a file; expected HDF5 of Keras"),
    ],
)
def test_what_is_not_there_is_one_line(
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from volproc.cli import main

    monkeypatch.setattr("sys.argv", ["volproc", "models", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]

"""The loop in one workflow: volunteers draw, their labels train a network, which predicts."""

import csv
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from volproc import cli
from volproc.volume.store import open_volume

EXAMPLE = Path(__file__).parents[2] / "examples" / "crowd.toml"
SHAPE, VOXEL_NM = (12, 80, 96), (50, 50, 50)
MADE = (
    "crowd.csv",
    "annotations.zarr",
    "annotations-agreement.zarr",
    "annotations-ignore.zarr",
    "model/weights.safetensors",
    "model/card.json",
    "model/training/log.csv",
    "prediction.zarr",
    "objects.csv",
    "measure/objects.csv",
    "measure/meshes",
    "scores.json",
)
SMALL = {
    "run": {"source": "image.zarr", "folder": "run"},
    "cluster": {"kind": "serial"},
    "crowd": {"ground_truth": "truth.zarr", "volunteers": 3, "slices": [0, 8]},
    "annotate": {"block_slices": 4},
    "train": {
        "voxel_nm": 50,
        "slices_in": 4,
        "slices_out": 2,
        "widths": [6, 8],
        "patch": 32,
        "batch": 2,
        "steps": 80,
        "learning_rate": 0.01,
        "checkpoint_steps": 20,
        "device": "cpu",
    },
    "predict": {"axes": "zy"},
    "label": {"min_volume_um3": 0.01},
    "measure": {"meshes": "ply"},
    "evaluate": {"ground_truth": "truth.zarr", "slices": [8, 12]},
    "report": {"slices": 1},
}
"""The example on a small image: all else is as it says."""


def settings(tables):
    found = [(t, key, value) for t, options in tables.items() for key, value in options.items()]
    return [part for t, k, value in found for part in ("--set", f"{t}.{k}={json.dumps(value)}")]


RUN = ("run", EXAMPLE, "--quiet", *settings(SMALL))


@pytest.fixture
def folder(tmp_path, save_volume):
    """A folder with an image of two bright rods, and their labels."""
    y, x = np.mgrid[:80, :96]
    plane = ((y - 40) ** 2 + (x - 30) ** 2 < 20**2) | ((y - 45) ** 2 + (x - 75) ** 2 < 14**2)
    truth = np.stack([plane] * SHAPE[0]).astype("uint8")
    noise = np.random.default_rng(1).integers(0, 30, SHAPE, dtype="uint8")
    save_volume("image.zarr", truth * 80 + 60 + noise, voxel_nm=VOXEL_NM)
    save_volume("truth.zarr", truth, voxel_nm=VOXEL_NM, kind="labels")
    return tmp_path


@pytest.fixture
def volproc(monkeypatch, capsys, folder):
    """volproc("run", ...) inside the folder: the exit code, and what was said."""
    monkeypatch.chdir(folder)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["volproc", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out + said.err

    return command


def done_by(folder):
    """Steps that did anything since the log was last read, which this empties."""
    log = folder / "run" / "log.jsonl"
    if not log.exists():  # nothing was to do
        return set()
    events = [json.loads(line) for line in log.read_text().splitlines()]
    log.unlink()
    return {event["step"] for event in events if event["event"] in ("BlockDone", "Advanced")}


def test_one_file_closes_the_loop_and_only_what_depends_on_a_change_is_redone(volproc, folder):
    code, said = volproc("plan", EXAMPLE, *settings(SMALL))
    assert code == 0, said
    assert not (folder / "run").exists()
    rows = [line.split("│")[1:3] for line in said.splitlines() if line.startswith("│")]
    planned = [(stage.strip(), step.strip()) for stage, step in rows]
    stages = list(dict.fromkeys(stage for stage, _ in planned))
    made = "crowd annotate train predict label doubt measure evaluate"
    assert stages == made.split()

    code, said = volproc(*RUN)
    assert code == 0, said
    run = folder / "run"
    assert all((run / name).exists() for name in MADE)
    with open(run / "crowd.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3 * 8
    unseen = open_volume(run / "annotations-ignore.zarr")
    assert unseen.read(unseen.info.box).any(axis=(1, 2)).tolist() == [False] * 8 + [True] * 4
    scores = json.loads((run / "scores.json").read_text())["scores"]
    assert next(row["dice"] for row in scores if row["answer"] == "prediction") > 0.7
    used = json.loads((run / "workflow.json").read_text())
    assert used["predict"]["model"] == "run/model"
    assert {step for _, step in planned} <= done_by(folder)

    assert volproc(*RUN)[0] == 0
    assert done_by(folder) == set()
    assert volproc(*RUN, "--set", "train.steps=20")[0] == 0
    done = done_by(folder)
    assert {"train", "predict"} <= done
    assert not {"crowd", "annotate"} & done
    assert volproc(*RUN, "--set", "train.steps=20", "--set", "crowd.seed=1")[0] == 0
    assert {"crowd", "annotate", "train", "predict"} <= done_by(folder)
    code, said = volproc("report", "run")
    assert code == 0, said


def test_a_stage_alone_needs_what_it_reads(volproc, folder):
    code, said = volproc(*RUN, "--stages", "train")
    assert code == 2
    assert said.count("volproc: ") == 1
    assert "annotations.zarr does not exist" in said
    code, said = volproc(*RUN, "--stages", "predict")
    assert code == 2
    assert "run/model" in said
    code, said = volproc("train", EXAMPLE)
    assert code == 2
    assert "images is empty" in said


def test_killed_at_writes_it_ends_as_an_undisturbed_one(folder, start, same_results):
    """Deaths spread over the whole loop, training included; then the same bytes."""
    places = [folder / "calm", folder / "killed"]
    for place in places:
        place.mkdir()
        for name in ("image.zarr", "truth.zarr"):
            (place / name).symlink_to(folder / name)
    short = settings({"train": {"steps": 8, "checkpoint_steps": 2}})
    calm, killed = places
    last = start(calm, *RUN, *short)
    assert last.wait() == 0, last.messages.read_text()
    deaths = 0
    for number in (3, 60, 110, 75, 30, 25):
        running = start(killed, *RUN, *short, die_before_write=number)
        code = running.wait()
        assert code in (0, -signal.SIGKILL), running.messages.read_text()
        deaths += code != 0
    assert deaths >= 4
    last = start(killed, *RUN, *short)
    assert last.wait() == 0, last.messages.read_text()
    same_results(calm / "run", killed / "run", MADE)

"""What cannot be trained, by command: one clear line before the first step, and no model left."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.stages.train.test_validation import balls

GREY, BALLS, MIDDLES = balls(0)
FILE = """[train]
images = ["image.zarr"]
labels = ["labels.zarr"]
validation_images = ["held.zarr"]
validation_labels = ["held-labels.zarr"]
widths = [3, 4]
slices_in = 4
slices_out = 2
patch = 16
batch = 2
steps = 4
checkpoint_steps = 2
validate_steps = 2
device = "cpu"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_volume: Any) -> Path:
    """A folder with two images, their labels and a workflow that can be trained."""
    for image, labels in (("image", "labels"), ("held", "held-labels")):
        save_volume(f"{image}.zarr", GREY)
        save_volume(f"{labels}.zarr", BALLS, kind="labels")
    (tmp_path / "train.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def train_refused(refused: Any, here: Path) -> Any:
    """train_refused(words, ..., key=value): in one line, and nothing was learnt."""

    def check(*words: str, **changes: str) -> None:
        sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
        refused(*words, by=("train", "train.toml", "--serial", *sets))
        assert not (here / "model" / "card.json").exists()
        assert not (here / "model" / "training" / "log.csv").exists()

    return check


def other(save_volume: Any, name: str, values: np.ndarray, **how: Any) -> dict[str, str]:
    """Options that name another volume."""
    kind = how.get("kind", "image")
    save_volume(f"{name}.zarr", values, **how)
    return {"labels" if kind == "labels" else "images": f'["{name}.zarr"]'}


@pytest.mark.parametrize(
    ("values", "how", "words"),
    [
        (BALLS, {"voxel_nm": (50, 40, 40)}, ("need the same field of view", "check the voxel")),
        (BALLS[:, :20], {}, ("need the same field of view",)),
        (BALLS, {"corner_nm": (1e6, 0.0, 0.0)}, ("they meet nowhere; correct the translation",)),
        (0 * BALLS, {}, ("no voxel of", "is nucleus", "there is no object to learn")),
        (BALLS.astype("f4"), {}, ("holds float32", "whole numbers")),
    ],
)
def test_labels_that_do_not_fit(
    save_volume: Any, train_refused: Any, values: np.ndarray, how: Any, words: Any
) -> None:
    train_refused(*words, **other(save_volume, "odd", values, kind="labels", **how))


def test_a_class_that_is_never_seen(train_refused: Any, here: Path) -> None:
    classes = (
        '[train]\nclasses = ["ball", "ghost"]\ntargets.ghost = {from = "values", values = [7]}'
    )
    (here / "train.toml").write_text(FILE.replace("[train]", classes))
    train_refused("no voxel of", "labels.zarr is ghost", "give labels that hold some")


@pytest.mark.parametrize("which", ["images", "validation_images"])
def test_grey_values_that_are_none(save_volume: Any, train_refused: Any, which: str) -> None:
    """Of what is held out, too: the first validation may be hours away."""
    grey = GREY.astype("f4")
    grey[5, 6, 7] = np.nan
    save_volume("nan.zarr", grey)
    train_refused("nan.zarr", "holds NaN or infinite", **{which: '["nan.zarr"]'})


def test_labels_that_are_held_out_and_below_0(save_volume: Any, train_refused: Any) -> None:
    save_volume("below.zarr", BALLS.astype("i2") - 1, kind="labels")
    train_refused("below.zarr", "below 0", validation_labels='["below.zarr"]')


def test_a_patch_that_is_larger_than_the_volume(train_refused: Any) -> None:
    train_refused("patches are 96 voxels along", "a smaller patch", patch="96")


@pytest.mark.parametrize("name", ["net.pt", "net.ckpt", "net.bin"])
def test_a_pickle_is_never_started_from(train_refused: Any, here: Path, name: str) -> None:
    (here / name).write_bytes(pickle.dumps(_Bomb(str(here / "went-off"))))
    train_refused("looks like a pickle, which may run anything", start_from=f'"{name}"')
    assert not (here / "went-off").exists()


class _Bomb:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_a_model_of_another_network_is_not_started_from(
    train_refused: Any, tiny_model: Path
) -> None:
    train_refused("is a ", "leave out the options of the network", start_from=f'"{tiny_model}"')


@pytest.fixture
def begun(volproc: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of a training that was stopped after two steps."""
    with monkeypatch.context() as stopped:
        stopped.setattr("volproc.stages.train.loop.save", _saved_once())
        code, _ = volproc("train", "train.toml", "--serial")
    assert code
    return here / "model" / "training" / "checkpoint.pt"


def _saved_once() -> Any:
    from volproc.stages.train.state import save

    def once(*given: Any, **how: Any) -> None:
        save(*given, **how)
        raise KeyboardInterrupt

    return once


def test_a_checkpoint_of_another_training(refused: Any, begun: Path) -> None:
    by = ("train", "train.toml", "--serial", "--set", "widths=[4,5]")
    refused("made otherwise (widths:", by=by)
    assert begun.exists()


def test_a_checkpoint_that_is_none(refused: Any, begun: Path, here: Path) -> None:
    by = ("train", "train.toml", "--serial")
    saved = torch.load(begun, weights_only=True)
    begun.write_bytes(pickle.dumps(_Bomb(str(here / "went-off"))))
    refused("checkpoint.pt is not a checkpoint", "remove it to train from the start", by=by)
    assert not (here / "went-off").exists()
    weights = {f"x.{name}": value for name, value in saved["network"].items()}
    torch.save({**saved, "network": weights}, begun)
    refused("is a checkpoint of another network", "remove it to train from the start", by=by)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_checkpoint_of_a_gpu_goes_on_without_one(
    volproc: Any, begun: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = torch.load(begun, weights_only=True)
    with monkeypatch.context() as on_gpu:
        on_gpu.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(saved, begun)
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(begun, weights_only=True)
    code, _ = volproc("train", "train.toml", "--serial")
    assert code == 0
    log = (here / "model" / "training" / "log.csv").read_text().splitlines()
    assert [row["step"] for row in csv.DictReader(log)] == ["1", "2", "3", "4"]

"""Several processes train what one trains: the same patches, the same losses, the same steps."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.stages.train.test_validation import balls, save

from volproc import TrainOptions
from volproc.errors import ModelError
from volproc.model.weights import load_model
from volproc.stages.train import companions
from volproc.stages.train.execution import run_training
from volproc.stages.train.processes import Processes
from volproc.stages.train.stage import plan_train
from volproc.stages.train.training_sources import held_out_of, sources_of

CONFIG = """[train]
images = ["image0.zarr"]
labels = ["label0.zarr"]
validation_images = ["image1.zarr"]
validation_labels = ["label1.zarr"]
widths = [4, 6]
slices_in = 4
slices_out = 2
patch = 16
batch = 4
steps = {steps}
validate_steps = 3
checkpoint_steps = 2
device = "cpu"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images with their labels."""
    for seed in range(2):
        image, labels, _ = balls(seed)
        save(tmp_path / f"image{seed}.zarr", image, "image")
        save(tmp_path / f"label{seed}.zarr", labels, "labels")
    return tmp_path


def plan(folder: Path, out: str, **more: Any) -> Any:
    urls = {
        f"{held}{kind}s": (str(folder / f"{kind}{number}.zarr"),)
        for number, held in enumerate(("", "validation_"))
        for kind in ("image", "label")
    }
    small = {"widths": (4, 6), "slices_in": 4, "slices_out": 2, "patch": 16, "batch": 4}
    options = TrainOptions(
        **{**urls, **small, "steps": 6, "validate_steps": 3, "device": "cpu", **more},
        model_out=str(folder / out),
    )
    return plan_train(sources_of(options), options, validation=held_out_of(options))


def losses(model: Path) -> list[float]:
    text = (model / "training" / "log.csv").read_text()
    return [float(row["loss"]) for row in csv.DictReader(text.splitlines())]


def require_alike(folder: Path, one: str, other: str) -> None:
    assert losses(folder / one) == pytest.approx(losses(folder / other), rel=1e-5)
    networks = (load_model(folder / name)[0].state_dict() for name in (one, other))
    for a, b in zip(*(network.values() for network in networks), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@given(batch=st.integers(1, 40), count=st.integers(1, 8))
def test_each_patch_of_a_batch_is_in_one_process(batch: int, count: int) -> None:
    shares = [Processes(rank, count).share(batch) for rank in range(count)]
    assert [number for share in shares for number in share] == [*range(batch)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_two_processes_train_what_one_trains(folder: Path) -> None:
    for count in (1, 2):
        run_training(plan(folder, f"model{count}", processes=count, boundary_loss=0.5))
    require_alike(folder, "model1", "model2")


@pytest.mark.slow
def test_so_do_three_and_four(folder: Path) -> None:
    for count in (1, 3, 4):  # of three, one has two patches and the others one
        run_training(plan(folder, f"model{count}", processes=count))
    require_alike(folder, "model1", "model3")
    require_alike(folder, "model1", "model4")


def volproc(folder: Path, *words: str, torchrun: int = 0) -> subprocess.Popen[bytes]:
    """`volproc train` with these flags, at work."""
    run = [f"--nproc-per-node={torchrun}", "--standalone", "-m"] if torchrun else []
    module = ["torch.distributed.run", *run] if torchrun else []
    command = [sys.executable, "-m", *module, "volproc", "train", "train.toml", "--serial", *words]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_torchrun_starts_them_too(folder: Path) -> None:
    (folder / "train.toml").write_text(CONFIG.format(steps=4))
    for name, count in (("alone", 0), ("both", 2)):
        with volproc(folder, "--set", f"model_out={name}", torchrun=count) as one:
            assert one.wait(200) == 0
    require_alike(folder, "alone", "both")


def test_killed_in_a_step_it_ends_the_same_and_leaves_no_process(folder: Path) -> None:
    (folder / "train.toml").write_text(CONFIG.format(steps=10))
    flags = ("--set", "processes=2", "--set", "model_out=cut")
    log = folder / "cut" / "training" / "log.csv"
    with volproc(folder, *flags) as one:
        while not log.exists() or len(log.read_text().splitlines()) < 5:
            assert one.poll() is None
            time.sleep(0.02)
        started = psutil.Process(one.pid).children(recursive=True)
        os.kill(one.pid, signal.SIGKILL)
    assert started
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive
    assert not (folder / "cut" / "card.json").exists()
    with volproc(folder, *flags) as again:
        assert again.wait(200) == 0
    run_training(plan(folder, "whole", processes=2, steps=10, checkpoint_steps=2))
    cut, whole = (load_model(folder / name)[0].state_dict() for name in ("cut", "whole"))
    assert all(torch.equal(value, cut[name]) for name, value in whole.items())
    assert losses(folder / "cut") == losses(folder / "whole")


def test_a_companion_that_dies_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companions.pickle, "dumps", lambda plan: b"no plan")
    with pytest.raises(ModelError, match=r"process 1 of 2 that train together ended with 1"):
        run_training(plan(folder, "model", processes=2))


def test_there_are_no_more_processes_than_patches(folder: Path) -> None:
    assert companions.process_count(plan(folder, "model", processes=9)) == 4
    assert companions.process_count(plan(folder, "model")) == 1

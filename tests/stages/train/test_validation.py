"""Validation gives the scores of `volproc predict` and `volproc evaluate`, on the same region."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from volproc import EvaluateOptions, PredictOptions, TrainOptions, __version__
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.grid.blocks import Tiling
from volproc.grid.box import whole_box
from volproc.grid.scale import VoxelNm
from volproc.model.model_folder import load_card
from volproc.model.weights import load_model
from volproc.stages.evaluate.stage import plan_evaluate, run_evaluate
from volproc.stages.predict.stage import plan_predict, run_predict
from volproc.stages.train.calibration import calibrated
from volproc.stages.train.data_options import DataOptions
from volproc.stages.train.execution import run_training, validator_of
from volproc.stages.train.held_out import HeldOut
from volproc.stages.train.pairs import LabelledImage
from volproc.stages.train.region_counts import counts_of
from volproc.stages.train.stage import plan_train
from volproc.stages.train.training_sources import ClassLabels, Source, held_out_of, sources_of
from volproc.stages.train.validation import tolerance_of
from volproc.volume.metadata import Kind, new_volume
from volproc.volume.store import create_volume, open_volume

CUBE = VoxelNm((50.0, 50.0, 50.0))
BOX = "4:20,6:36,8:40"


def save(path: Path, values: np.ndarray, kind: Kind) -> str:
    z, y, x = values.shape
    info = new_volume(str(path), shape=(z, y, x), voxel_nm=CUBE, dtype=str(values.dtype), kind=kind)
    volume = create_volume(info, step="test", digest=path.name, version=__version__)
    volume.write(whole_box(info.shape), values)
    volume.finish()
    return info.url


def balls(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image of bright balls with dark middles, the balls, and the middles."""
    rng = np.random.default_rng(seed)
    outer = np.zeros((24, 40, 44), bool)
    inner = np.zeros_like(outer)
    grid = np.ogrid[tuple(slice(n) for n in outer.shape)]
    for _ in range(5):
        centre = [rng.integers(4, n - 4) for n in outer.shape]
        far = sum((g - c) ** 2 for g, c in zip(grid, centre))
        outer |= far < 36
        inner |= far < 9
    image = 90 + 70 * outer - 60 * inner + rng.integers(0, 25, outer.shape)
    return image.astype(np.uint8), outer.astype(np.uint16), inner.astype(np.uint16)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A training of two classes, with a box of another image held out; it has been run."""
    folder = tmp_path_factory.mktemp("training")
    urls = []
    for seed in range(2):
        image, *labels = balls(seed)
        urls.append(
            (
                save(folder / f"image{seed}.zarr", image, "image"),
                {n: save(folder / f"{n}{seed}.zarr", v, "labels") for n, v in zip(NAMES, labels)},
            )
        )
    options = TrainOptions(
        classes=NAMES,
        data=(DataOptions(image=urls[0][0], labels=urls[0][1]),),
        validation=(DataOptions(image=urls[1][0], labels=urls[1][1], box=BOX),),
        widths=(6, 8),
        slices_in=4,
        slices_out=2,
        patch=16,
        batch=4,
        steps=40,
        learning_rate=0.03,
        validate_steps=20,
        model_out=str(folder / "model"),
        device="cpu",
    )
    made = plan_train(sources_of(options), options, validation=held_out_of(options))
    run_training(made)
    return made


NAMES = ("ball", "middle")


def test_it_is_what_predict_and_evaluate_find(plan: Any, tmp_path: Path) -> None:
    network, card = load_model(plan.folder)
    table = validator_of(plan).table(network, temperatures=card.temperatures)
    (held_out,) = plan.validation
    options = PredictOptions(model=plan.folder, box=BOX, device="cpu")
    made = plan_predict(held_out.image, str(tmp_path / "found.zarr"), options)
    runner = Runner(SerialEngine(), tmp_path / "ledger")
    found = run_predict(made, runner)
    assert card.temperatures != (1.0, 1.0)
    scored = 0
    for number, name in enumerate(NAMES):
        tolerance = tolerance_of(plan.voxel_nm, 0)
        mask = found.read(found.info.box)[number]
        info = save_as(found.info, tmp_path / f"{name}.zarr", mask)
        scores = run_evaluate(
            plan_evaluate(
                {"found": info},
                held_out.classes[number].labels,
                EvaluateOptions(surfaces="3d", tolerances_nm=(tolerance,)),
            ),
            runner,
        )["found"]
        own = table[name, "mean"]
        assert own["dice"] == pytest.approx(scores.whole.dice, rel=1e-12)
        assert own["boundary_f"] == pytest.approx(scores.surfaces["3d"][f"bf_{tolerance:g}"])
        assert card.validation[name]["mean"] == round(scores.whole.dice, 5)
        scored += bool(own["dice"])
    assert scored == 2


def save_as(like: Any, path: Path, values: np.ndarray) -> Any:
    """One class of a prediction as a volume of its own."""
    info = new_volume(
        str(path),
        shape=values.shape,
        voxel_nm=like.voxel_nm,
        corner_nm=like.corner_nm,
        dtype="uint8",
    )
    volume = create_volume(info, step="test", digest=path.name, version=__version__)
    volume.write(whole_box(info.shape), values)
    volume.finish()
    return open_volume(info.url).info


def test_the_log_has_every_score_of_every_class_and_axis(plan: Any) -> None:
    lines = (Path(plan.folder) / "training" / "log.csv").read_text().splitlines()
    names = lines[0].split(",")
    assert {"dice", "dice_ball", "dice_ball_z", "boundary_f_middle_x", "pq_middle"} < {*names}
    last = dict(zip(names, lines[40].split(",")))
    fused = [float(last[f"dice_{name}"]) for name in NAMES]
    assert float(last["dice"]) == pytest.approx(sum(fused) / 2, abs=1e-5)


def test_a_gpu_or_a_cpu_it_does_not_change_the_network(plan: Any) -> None:
    network, _ = load_model(plan.folder)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    validator_of(plan)(network)
    assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items())
    assert load_card(plan.folder).axes == "zyx"


def test_a_region_is_scored_block_by_block(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is larger than memory has the scores of one that is not."""
    network, card = load_model(plan.folder)
    validator = validator_of(plan)
    whole = validator.table(network, temperatures=card.temperatures)
    fitted = calibrated(validator, network)
    (region,) = validator.regions
    assert len([*region.blocks]) == 1
    parts = [block.core.shift(region.box.start) for block in Tiling(region.box.shape, (7, 9, 32))]
    monkeypatch.setattr(HeldOut, "blocks", parts)
    small = partial(counts_of, block=(5, 11, 9))
    monkeypatch.setattr("volproc.stages.train.validation.counts_of", small)
    cut = validator_of(plan)
    found = cut.table(network, temperatures=card.temperatures)
    for key, scores in whole.items():
        assert found[key] == pytest.approx(scores, rel=1e-12), key
    assert calibrated(cut, network) == fitted


def test_the_blocks_of_a_region_are_tiles(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (region,) = validator_of(plan).regions
    tile = replace(region._layout, tile=(8, 8, 16), offset=(4, 4, 8))
    monkeypatch.setattr(HeldOut, "_layout", tile)
    (region,) = validator_of(plan).regions
    seen = np.zeros(region.box.stop, int)
    for block in region.blocks:
        assert block.size
        seen[block.slices] += 1
        assert {*map(len, (tile.spans(block, n, in_plane=True) for n in range(3)))} == {1}
    assert (seen[region.box.slices] == 1).all()
    assert seen.sum() == region.box.size


def test_a_large_region_takes_the_memory_of_a_tile(plan: Any) -> None:
    def peak(side: int) -> int:
        image, labels = (
            new_volume(f"{n}.zarr", shape=(side,) * 3, voxel_nm=CUBE, dtype="uint8", kind=n)
            for n in ("image", "labels")
        )
        known = ClassLabels(labels)
        source = LabelledImage(Source(image, (known, known)), CUBE, plan.targets)
        return HeldOut(source, plan.network(), "zyx").peak_bytes

    small, large = peak(1000), peak(3000)
    assert large < 2 * small < 3000**3 / 2


def test_the_tolerance_is_two_voxels_unless_stated() -> None:
    assert tolerance_of(CUBE, 0) == 100
    assert tolerance_of(VoxelNm((30.0, 8.0, 8.0)), 0) == 30
    assert tolerance_of(CUBE, 70) == 70

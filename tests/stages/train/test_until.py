"""A training whose time is over: its step is saved, it ends with 75, and goes on from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from volproc import TrainOptions, __version__
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import StoppedError
from volproc.grid.scale import VoxelNm
from volproc.model.weights import Card
from volproc.stages.train.plan import TrainPlan
from volproc.stages.train.stage import plan_train, run_train
from volproc.stages.train.training_sources import sources_of
from volproc.volume.metadata import Kind, new_volume
from volproc.volume.store import create_volume

STEPS = 5


def save(path: Path, values: np.ndarray, kind: Kind) -> str:
    shape = tuple(map(int, values.shape))
    how: dict[str, Any] = {"shape": shape, "dtype": str(values.dtype), "kind": kind}
    info = new_volume(str(path), voxel_nm=VoxelNm((50.0,) * 3), **how)
    volume = create_volume(info, step="test", digest=path.name, version=__version__)
    volume.write(info.box, values)
    volume.finish()
    return info.url


@pytest.fixture
def planned(tmp_path: Path) -> Any:
    """planned(name): the plan of a training into that folder, always the same."""
    z, y, x = np.ogrid[:12, :24, :24]
    ball = (z - 6) ** 2 + (y - 12) ** 2 + (x - 12) ** 2 < 25
    image = (100 + 60 * ball + (3 * z + y + x) % 11).astype(np.uint8)
    images = (save(tmp_path / "image.zarr", image, "image"),)
    labels = (save(tmp_path / "ball.zarr", ball.astype(np.uint16), "labels"),)

    def plan(name: str) -> TrainPlan:
        options = TrainOptions(
            images=images, labels=labels, model_out=str(tmp_path / name), name="small",
            widths=(3, 4), slices_in=4, slices_out=2, patch=16, batch=2, steps=STEPS,
            checkpoint_steps=100, validate_steps=100, device="cpu",
        )  # fmt: skip
        return plan_train(sources_of(options), options)

    return plan


def trained(plan: TrainPlan, records: Path, **time: Any) -> Card:
    return run_train(plan, Runner(SerialEngine(), records, **time))


def test_a_training_in_pieces_of_one_step_is_the_training_in_one(
    planned: Any, tmp_path: Path
) -> None:
    """The run's own clock says that a block may begin; that of the worker, that it is too late."""
    too_late = {"until": 1.0, "clock": lambda: 0.0}
    for done in range(1, STEPS):
        with pytest.raises(
            StoppedError, match=f"^stopped as --until says: step {done} of {STEPS} of the training"
        ) as caught:
            trained(planned("pieces"), tmp_path / "pieces-records", **too_late)
        assert caught.value.exit_code == 75
        assert not list((tmp_path / "pieces-records").glob("*.partial"))
    card = trained(planned("pieces"), tmp_path / "pieces-records", **too_late)
    assert card.weights_sha256 == trained(planned("whole"), tmp_path / "records").weights_sha256

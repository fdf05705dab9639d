"""A small image, a prediction of it in one call, and a published network of a small size."""

from pathlib import Path

import pytest
import torch
from tests.stages.predict.whole import save_random

from volproc import PredictOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.stages.predict.stage import plan_predict, run_predict


@pytest.fixture
def small(save_volume, noise):
    """20 x 36 x 45 voxels of 50 x 50 x 40 nm, on the tiny model's grid 20 x 36 x 36."""
    return save_volume("image.zarr", noise[:20, :36, :45], voxel_nm=(50, 50, 40))


@pytest.fixture
def predict(tiny_model):
    """predict(image, "name", votes=True, ...): the plan that was run, and the prediction."""

    def run(image, name="out", *, votes=True, plan_only=False, network=None, **options):
        folder = Path(image.info.url).parent
        chosen = {"model": str(tiny_model), "tile": (12, 20, 16), **options}
        plan = plan_predict(
            image.info,
            str(folder / f"{name}.zarr"),
            PredictOptions(**{k: v for k, v in chosen.items() if v is not None}),
            votes_url=str(folder / f"{name}-votes.zarr") if votes else None,
            network=network,
        )
        if plan_only:
            return plan
        return plan, run_predict(plan, Runner(SerialEngine(), folder / f"{name}-ledger"))

    return run


@pytest.fixture(scope="session")
def small_etchacell(tmp_path_factory):
    """The published network with 3 levels and 2 channels; every pixel within its reach counts."""
    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("model") / "etchacell"
    return save_random(folder, EtchACellSpec(start=2, levels=3))

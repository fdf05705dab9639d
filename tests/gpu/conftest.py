"""What only a GPU shows: `scripts/test -m gpu`. Without one these tests are skipped."""

import pytest
import torch

import volproc
from volproc import ClusterOptions, PredictOptions

HERE = ClusterOptions(kind="serial")


@pytest.fixture(autouse=True)
def gpu():
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")


@pytest.fixture
def predict(tmp_path, tiny_model):
    """predict(image, "name", device="cuda", ...): the prediction, and its votes."""

    def run(image, name, *, cluster=HERE, watchers=(), **options):
        chosen = PredictOptions(**{"model": str(tiny_model), "fusion": "mean", **options})
        votes = str(tmp_path / f"{name}-votes.zarr")
        url = str(tmp_path / f"{name}.zarr")
        made = volproc.predict(
            image.info.url, url, chosen, votes=votes, cluster=cluster, watchers=watchers
        )
        return made, volproc.open_volume(votes)

    return run


@pytest.fixture
def image(save_volume, noise):
    """40 x 70 x 90 voxels of 50 x 50 x 40 nm: resampled along x."""
    return save_volume("image.zarr", noise, voxel_nm=(50, 50, 40))

"""What differs on a GPU: on a real one with `scripts/test -m gpu`, else on a simulated one."""

import pytest
import torch
from tests.simulated_gpu.cupy_module import simulated_cupy
from tests.simulated_gpu.fixture import fresh_caches, in_workers, simulated

import volproc
from volproc import ClusterOptions, PredictOptions
from volproc.stages import array_namespace

HERE = ClusterOptions(kind="serial")


@pytest.fixture(autouse=True)
def gpu(monkeypatch, tmp_path):
    """The simulated GPUs; None on a real one."""
    fresh_caches(monkeypatch)
    if torch.cuda.is_available():
        yield None
    else:
        with in_workers(tmp_path):
            yield from simulated()


@pytest.fixture
def cupy(gpu):
    """cupy, real or simulated."""
    array_namespace._on_gpu.cache_clear()
    if gpu is None:
        yield pytest.importorskip("cupy", reason="a GPU, but no cupy here")
    else:
        with simulated_cupy() as module:
            yield module
    array_namespace._on_gpu.cache_clear()


@pytest.fixture
def predict(tmp_path, tiny_model):
    """predict(image, "name", device="cuda", ...): the prediction, and its votes."""

    def run(image, name, *, cluster=HERE, watchers=(), keep_votes=True, **options):
        chosen = PredictOptions(**{"model": str(tiny_model), "fusion": "mean", **options})
        votes = str(tmp_path / f"{name}-votes.zarr") if keep_votes else None
        url = str(tmp_path / f"{name}.zarr")
        made = volproc.predict(
            image.info.url, url, chosen, votes=votes, cluster=cluster, watchers=watchers
        )
        return made, volproc.open_volume(votes) if votes else None

    return run


@pytest.fixture
def image(save_volume, noise):
    """40 x 70 x 90 voxels of 50 x 50 x 40 nm: resampled along x."""
    return save_volume("image.zarr", noise, voxel_nm=(50, 50, 40))

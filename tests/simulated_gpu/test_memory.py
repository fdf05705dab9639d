"""Memory of a GPU that runs out anywhere in a block: the right votes, or one clear line."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.simulated_gpu.fixture import fresh_caches, simulated

from volproc import PredictOptions
from volproc.engine.protocol import do_block
from volproc.grid.blocks import Block
from volproc.model.normalisation import Normalisation
from volproc.stages.inference import device_memory
from volproc.stages.inference.device_memory import Upload, capacity
from volproc.stages.predict import parts
from volproc.stages.predict.cost import device_bytes
from volproc.stages.predict.stage import plan_predict
from volproc.stages.predict.task import Predict

ROUNDING = 12
"""Steps of 255: halves are rounded to 16 bits elsewhere."""


@pytest.fixture
def gpu(monkeypatch):
    fresh_caches(monkeypatch)
    yield from simulated()


@pytest.fixture
def task(gpu, save_volume, noise, tiny_model, tmp_path):
    """task(...): predict's, with the prediction and the votes kept in `task.written`."""

    def make(shape=(20, 36, 45), dtype="uint8", **options):
        z, y, x = shape
        values = noise[:z, :y, :x].astype(dtype)
        image = save_volume("image.zarr", values, voxel_nm=(50, 50, 40))
        chosen = {"model": str(tiny_model), "device": "cuda", "fusion": "mean", **options}
        plan = plan_predict(image.info, str(tmp_path / "o.zarr"), PredictOptions(**chosen))
        assert plan.steps[0].on_gpu
        return Kept(plan.task(Normalisation(120.0, 40.0)), plan.blocks)

    return make


class Kept:
    """A prediction's blocks, done without a disk."""

    def __init__(self, task, blocks):
        self.task, self.blocks = task, list(blocks)

    def load(self, block):
        return self.task.load(block)

    def compute(self, block, loaded):
        return self.task.compute(block, loaded)

    def store(self, block, result):
        return self.task.written(block, result).copy()

    def done(self):
        """The blocks' voxels, or the line of the error."""
        outcomes = [do_block(self, block) for block in self.blocks]
        return [o.record if o.failure is None else o.failure for o in outcomes]


def same(found, wanted):
    return all(np.abs(a.astype(int) - b).max() <= ROUNDING for a, b in zip(found, wanted))


def allocations(gpu, kept):
    """The voxels, and the number of allocations that it took."""
    first = gpu.each[0].allocations
    return kept.done(), gpu.each[0].allocations - first


def test_memory_may_run_out_at_each_allocation_of_a_block(gpu, task, monkeypatch):
    kept = task(shape=(8, 20, 25))
    (whole,), count = allocations(gpu, kept)
    assert np.ptp(whole) > 10
    assert count > 40
    for n in range(1, count + 1):
        fresh_caches(monkeypatch)  # the weights are uploaded again, too
        gpu.each[0].fail_at = gpu.each[0].allocations + n
        (found,) = kept.done()
        assert gpu.each[0].allocations >= gpu.each[0].fail_at, n
        assert not isinstance(found, str), (n, found)
        assert same([found], [whole]), n

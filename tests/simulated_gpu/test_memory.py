"""Memory of a GPU that runs out anywhere in a block: the right votes, or one clear line."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from tests.simulated_gpu.fixture import fresh_caches, simulated
from tests.simulated_gpu.gpus import GRAIN

import volproc
from volproc import ClusterOptions, PredictOptions
from volproc.engine.protocol import do_block
from volproc.errors import VolprocError
from volproc.model.normalisation import Normalisation
from volproc.stages.inference import device_memory
from volproc.stages.predict import gpu_memory
from volproc.stages.predict.gpu_memory import device_bytes
from volproc.stages.predict.stage import plan_predict
from volproc.stages.predict.task import Predict
from volproc.volume import resampling

HERE = ClusterOptions(kind="serial")
ROUNDING = 12
"""Steps of 255: halves are rounded to 16 bits elsewhere."""


@pytest.fixture
def gpu(monkeypatch):
    fresh_caches(monkeypatch)
    # the network and its blocks are small, too
    monkeypatch.setattr(gpu_memory, "GPU_LIBRARY_BYTES", 128 * GRAIN)
    for module in (gpu_memory, resampling):
        monkeypatch.setattr(module, "GPU_SLAB_VOXELS", 4096)
    yield from simulated()


@pytest.fixture
def small(save_volume, noise):
    return save_volume("small.zarr", noise[:8, :20, :25], voxel_nm=(50, 50, 40))


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
        return Kept(plan.task(Normalisation(120.0, 40.0)), plan.blocks, plan.steps[0].notes)

    return make


class Kept:
    """A prediction's blocks, done without a disk."""

    def __init__(self, task, blocks, notes):
        self.task, self.blocks, self.notes = task, list(blocks), notes

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
    kept = task(shape=(8, 20, 25), axes="zx")
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


HOW = {
    "mean": {},
    "weighted": {"fusion": "weighted"},
    "union": {"fusion": "union"},
    "majority": {"fusion": "majority"},
    "max": {"fusion": "max", "axes": "zy"},
    "uint16": {"dtype": "uint16"},
    "float32": {"dtype": "float32", "axes": "z"},
}


@pytest.mark.parametrize("how", HOW.values(), ids=list(HOW))
def test_a_block_takes_the_memory_that_was_planned(gpu, task, how):
    kept = task(shape=(24, 48, 60), batch=1, **how)
    block = max(kept.blocks, key=lambda block: block.core.size)
    kept.blocks = [block]
    (found,) = kept.done()
    assert not isinstance(found, str), found
    need = device_bytes(kept.task.placed(block.core), kept.task).alone
    assert need / 3 < gpu.each[0].peak <= need


def test_a_small_gpu_computes_a_block_in_parts(gpu, task, monkeypatch):
    kept = task(shape=(16, 32, 40), tile=(16, 32, 32))
    (whole,) = kept.done()
    need = device_bytes(kept.blocks[0].core, kept.task).alone
    parts = voted(monkeypatch)
    fresh_caches(monkeypatch)
    gpu.each[0].total = int(0.8 * need)
    (found,) = kept.done()
    assert not isinstance(found, str), found
    assert same([found], [whole])
    assert len(parts) >= 2
    assert all(parts)  # by the estimate, not by trying


def voted(monkeypatch):
    """For each part of a block that is begun whether there was memory for it."""
    parts, plain = [], Predict._vote_at_once

    def vote(*given):
        parts.append(False)
        votes = plain(*given)
        parts[-1] = True
        return votes

    monkeypatch.setattr(Predict, "_vote_at_once", vote)
    return parts


def test_a_block_is_tried_again_and_then_halved_where_the_estimate_was_too_low(
    gpu, task, monkeypatch
):
    kept = task(shape=(8, 20, 25))
    (whole,) = kept.done()
    plain, tried = Predict._vote_at_once, []

    def vote(task, core, loaded, exact):
        tried.append(core.size)
        if core.size == whole.size:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(task, core, loaded, exact)

    monkeypatch.setattr(Predict, "_vote_at_once", vote)
    (found,) = kept.done()
    assert same([found], [whole])
    assert tried[:2] == [whole.size] * 2
    assert len(tried[2:]) == 2
    assert sum(tried[2:]) == whole.size


def test_a_run_on_a_gpu_that_is_too_small_ends_with_one_line(gpu, small, tiny_model, tmp_path):
    gpu.each[0].total = 40_000
    options = PredictOptions(model=str(tiny_model), device="cuda")
    with pytest.raises(VolprocError, match="predict: the GPU has too little memory") as caught:
        volproc.predict(small.info.url, str(tmp_path / "o.zarr"), options, cluster=HERE)
    assert caught.value.exit_code == 2


def test_blocks_are_uploaded_ahead_only_beside_the_one_that_is_computed(gpu, task):
    kept = task(tile=(20, 20, 20), block=(20, 20, 20))
    first = kept.blocks[0]
    need = device_bytes(first.core, kept.task).alone
    raw = kept.load(first).values.nbytes

    def ahead(total):
        gpu.each[0].total = total
        loaded = [kept.load(block) for block in (first, first)]
        return len(device_memory._ahead), loaded

    assert ahead(need - 1)[0] == 0
    assert ahead(need + raw)[0] == 1
    count, loaded = ahead(need + 3 * raw)
    assert count == 2
    before = gpu.each[0].allocated
    device_memory.make_room()
    assert gpu.each[0].allocated < before
    assert all(torch.equal(one.values().cpu(), torch.from_numpy(one.host)) for one in loaded)


@pytest.mark.parametrize("share", [3.0, 0.9])
def test_threads_with_blocks_in_hand_share_a_small_gpu(gpu, task, monkeypatch, share):
    kept = task(shape=(12, 32, 40), tile=(12, 16, 16), block=(12, 16, 16))
    wanted = kept.done()
    fresh_caches(monkeypatch)
    gpu.each[0].total = int(share * device_bytes(kept.blocks[0].core, kept.task).alone)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(partial(do_block, kept), kept.blocks))
    assert [o.failure for o in outcomes] == [None] * len(wanted)
    assert [o.tries for o in outcomes] == [1] * len(wanted)
    assert same([o.record for o in outcomes], wanted)


def test_calls_leave_room_for_the_blocks_in_hand(gpu, task):
    kept = task()
    core = kept.blocks[0].core
    need = device_bytes(core, kept.task)
    gpu.each[0].total = need.weights + need.computing + 10 * need.waiting
    assert kept.task._call_room(core) == 7 * need.waiting
    gpu.each[0].total = need.weights + need.computing + 4 * need.waiting
    assert kept.task._call_room(core) == 2 * need.waiting  # then fewer are in hand


def test_a_plan_states_the_memory_and_down_to_it_blocks_are_done(gpu, task, monkeypatch):
    kept = task(shape=(8, 20, 25), tile=(8, 20, 20))
    (note,) = [note for note in kept.notes if "of GPU memory" in note]
    numbers = re.search(r"needs (\S+) (.)B .* 4 blocks in hand; .* down to (\S+) kB,", note)
    most = float(numbers[1]) * {"k": 1e3, "M": 1e6}[numbers[2]]
    least = 1e3 * float(numbers[3])
    assert most > least
    gpu.each[0].total = int(least)
    assert not isinstance(kept.done()[0], str)

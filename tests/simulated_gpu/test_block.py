"""A block of predict on a simulated GPU: what it waits for, what comes down, what is let go."""

import gc
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.simulated_gpu.fixture import fresh_caches, simulated
from tests.simulated_gpu.streams import timeline

from volproc import PredictOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ModelError, VolprocError
from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.model.normalisation import MatchedGreys, Normalisation
from volproc.model.predictor import Predictor
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.stages.inference import device_link
from volproc.stages.inference.device_link import GpuLink
from volproc.stages.predict.stage import plan_predict, run_predict
from volproc.volume import resampling
from volproc.volume.metadata import new_volume
from volproc.volume.resampling import resampled, resampling_to
from volproc.volume.store import open_volume


@pytest.fixture
def gpu(monkeypatch):
    fresh_caches(monkeypatch)
    yield from simulated()


@pytest.fixture
def image(save_volume, noise):
    """20 x 36 x 45 voxels of 50 x 50 x 40 nm, resampled along x."""
    return save_volume("image.zarr", noise[:20, :36, :45], voxel_nm=(50, 50, 40))


@pytest.fixture
def plan(image, tiny_model, tmp_path):
    """plan("name", votes=False, tile=..., ...): a prediction of the image on the GPU, one block."""

    def planned(name="out", *, votes=True, source=image, **options):
        chosen = {"model": str(tiny_model), "device": "cuda", "block": (20, 36, 36), **options}
        return plan_predict(
            source.info,
            str(tmp_path / f"{name}.zarr"),
            PredictOptions(**chosen),
            votes_url=str(tmp_path / f"{name}-votes.zarr") if votes else None,
        )

    return planned


@pytest.fixture
def run(tmp_path):
    """run(plan): the prediction."""
    return lambda plan, name="ledger": run_predict(plan, Runner(SerialEngine(), tmp_path / name))


class Counted:
    """A task that counts the waits of each phase, and what comes down."""

    def __init__(self, task):
        self.task, self.waits, self.calls = task, {}, 0

    def done(self, block):
        result = self.phase("load", lambda: self.task.load(block))
        result = self.phase("compute", lambda: self.task.compute(block, result))
        return self.phase("store", lambda: self.task.written(block, result), result)

    def phase(self, name, do, result=None):
        before = Counter(timeline.waits)
        found = do()
        if result is not None:
            result.votes and result.votes()
        self.waits[name] = sum((timeline.waits - before).values())
        return found


MANY_CALLS = {"tile": (20, 12, 12), "batch": 1}
FEW_CALLS = {"tile": (20, 36, 36), "batch": 50}


def waits_of(plan, monkeypatch, **options):
    """Waits of the second block of a process by phase, and how often the network was called."""
    counted = Counted(plan(**options).task(Normalisation(120.0, 60.0)))
    block, calls = plan(**options).blocks[0], []
    counted.done(block)  # the first one brings the network up, and its constants
    with monkeypatch.context() as patch:
        sigmoid = torch.sigmoid
        patch.setattr(torch, "sigmoid", lambda x: calls.append(1) or sigmoid(x))
        counted.done(block)
    return counted.waits, len(calls)


@pytest.mark.parametrize(("votes", "down"), [(True, 3), (False, 2)])
def test_a_block_waits_as_often_whatever_the_number_of_calls(gpu, plan, monkeypatch, votes, down):
    """Computing never waits: of two waits a copy one is for the buffer, which is free mostly."""
    few, calls = waits_of(plan, monkeypatch, votes=votes, **FEW_CALLS)
    many, more_calls = waits_of(plan, monkeypatch, votes=votes, **MANY_CALLS)
    assert more_calls > 5 * calls
    assert few == many == {"load": 1, "compute": 0, "store": 2 * down}


def test_a_look_at_every_call_is_noticed(gpu, plan, monkeypatch):
    from volproc.model import predictor

    def at_once(numbers, check):
        check(*numbers.cpu().tolist())

    monkeypatch.setattr(predictor, "check_soon", at_once)
    waits, calls = waits_of(plan, monkeypatch, **MANY_CALLS)
    assert waits["compute"] == calls


def test_only_what_is_written_comes_down(gpu, plan, run, monkeypatch):
    seen = []
    fetched = device_link._Download._fetched
    monkeypatch.setattr(
        device_link._Download,
        "_fetched",
        lambda self, there: seen.append((there.dtype, tuple(there.shape))) or fetched(self, there),
    )
    run(plan("plain", votes=False), "a")
    assert [one for one in seen if one[0] == torch.uint8] == [(torch.uint8, (20, 36, 36))]
    seen.clear()
    run(plan("voted"), "b")
    voted = [(torch.uint8, (20, 36, 36)), (torch.uint8, (1, 3, 20, 36, 36))]
    assert [one for one in seen if one[0] == torch.uint8] == voted


def test_a_lost_record_of_a_blocks_voxels_is_found(gpu, plan, run):
    """Nothing waits while a block is computed: its voxels are let go while they may be read."""
    run(plan("first"), "a")  # brings the network up, and waits for that
    run(plan("right"), "b")
    gc.collect()
    assert not timeline.faults
    with pytest.MonkeyPatch.context() as planted:
        planted.setattr(torch.Tensor, "record_stream", lambda *_: None)
        run(plan("lost"), "c")
        gc.collect()
    faults, timeline.faults = timeline.faults, []
    assert any("no record_stream" in fault for fault in faults)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("voxel_nm", [(35, 41, 60), (50, 50, 40), (100, 50, 50), (20, 50, 30)])
@pytest.mark.parametrize("slab", [1, 3 * 36 * 36, 2**25])
def test_voxels_are_resampled_there_to_the_bits_of_the_cpu(
    gpu, noise, monkeypatch, kind, voxel_nm, slab
):
    """In slabs of one plane, of some, of all; the host does not wait for their taps."""
    monkeypatch.setattr(resampling, "GPU_SLAB_VOXELS", slab)
    values = noise[:20, :36, :45]
    info = new_volume("i.zarr", shape=values.shape, voxel_nm=voxel_nm, dtype="uint8", max_levels=1)
    way = resampling_to(info, parse_voxel_nm((50, 50, 50)))
    window = Box((-3, 2, -4), (13, 20, 17))
    source = values[way.source(window).slices].astype(kind)
    there = torch.from_numpy(source).to("cuda")
    before = sum(timeline.waits.values())
    found = resampled(there, way, window)
    assert sum(timeline.waits.values()) == before
    assert torch.equal(found.cpu(), resampled(torch.from_numpy(source), way, window))


GREYS = [
    Normalisation(120.0, 60.0),
    MatchedGreys(Normalisation(120.0, 60.0), raw=(0.0, 90.0, 255.0), normal=(-2.0, 0.5, 2.5)),
]


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("constants", GREYS, ids=lambda c: type(c).__name__)
def test_voxels_are_normalised_there_as_on_the_cpu_and_rounded_once(gpu, noise, kind, constants):
    planes = torch.from_numpy(noise[:6, :36, :45].astype(kind)).permute(0, 2, 1)[None]
    predict = Predictor(UNet(UNetSpec(slices_in=6, slices_out=4, widths=(4, 6))).eval(), "cuda")
    there = planes.to("cuda")
    predict._normal(there, constants)  # makes the table
    before = sum(timeline.waits.values())
    found = predict._normal(there, constants)
    assert sum(timeline.waits.values()) == before
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found.cpu(), constants.apply(planes).to(torch.bfloat16))
    others = replace(constants, **({"mean": 90.0} if constants is GREYS[0] else {"raw": (0, 1, 2)}))
    assert torch.equal(
        predict._normal(there, others).cpu(), others.apply(planes).to(torch.bfloat16)
    )


@pytest.mark.parametrize("fusion", ["mean", "max", "union", "majority", "weighted"])
def test_votes_are_fused_and_masked_there_as_on_the_cpu(gpu, plan, run, save_volume, fusion):
    inside = np.zeros((20, 36, 45), np.uint8)
    inside[:, 10:20] = 1
    mask = save_volume("m.zarr", inside, voxel_nm=(50, 50, 40))
    weights = {"weights": (1, 2, 1)} if fusion == "weighted" else {}
    how = {"fusion": fusion, "mask": mask.info.url, **weights}
    planned = plan(**how)
    made = run(planned)
    votes = open_volume(planned.votes.url).read(planned.votes.box)
    task = planned.task(Normalisation(0.0, 1.0))
    wanted = task.fused(torch.from_numpy(np.ascontiguousarray(votes[::-1]))).numpy()
    assert np.array_equal(made.read(made.info.box), wanted)
    assert votes[:, :, 12:16].any()
    assert not votes[:, :, 24:].any()


def test_nan_ends_a_block_before_anything_is_written(gpu, plan, run, tmp_path, monkeypatch):
    """The error is that of a CPU, at the block's end."""
    sigmoid, calls = torch.sigmoid, []

    def third_is_nan(logits):
        calls.append(1)
        return sigmoid(logits) * (float("nan") if len(calls) == 3 else 1.0)

    monkeypatch.setattr(torch, "sigmoid", third_is_nan)
    planned = plan(**MANY_CALLS)
    with pytest.raises(
        VolprocError, match=r"model tiny predicts NaN: .* bfloat16 .* device = .cpu"
    ):
        run(planned)
    assert len(calls) > 20  # all of the block's: nobody waited
    assert not (tmp_path / "out.zarr" / "0" / "c").exists()  # no shard of it


def test_nan_is_refused_where_nothing_is_written(gpu, plan, monkeypatch):
    """As by an array that predicts on demand: it asks for the voxels alone."""
    sigmoid = torch.sigmoid
    monkeypatch.setattr(torch, "sigmoid", lambda logits: sigmoid(logits) * float("nan"))
    planned = plan()
    task, block = planned.task(Normalisation(0.0, 1.0)), planned.blocks[0]
    result = task.compute(block, task.load(block))
    with pytest.raises(ModelError, match="predicts NaN"):
        task.written(block, result)


def test_a_process_pins_two_buffers_for_each_transfer_at_a_time(gpu, plan, run, monkeypatch):
    made = []
    init = device_link.PinnedBuffer.__init__
    monkeypatch.setattr(
        device_link.PinnedBuffer, "__init__", lambda self: made.append(self) or init(self)
    )
    run(plan("a", block=(20, 12, 12), tile=(20, 12, 12)))
    assert len(made) == 2  # nine blocks, one at a time: up and down
    assert 2 * device_link.BUFFER_BYTES < device_link.TRANSFER_BYTES


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1300])
def test_blocks_larger_than_a_buffer_arrive_whole(gpu, monkeypatch, dtype, size):
    monkeypatch.setattr(device_link, "BUFFER_BYTES", 256)
    values = np.random.default_rng(size).integers(0, 65535, (1, size, 1)).astype(dtype)
    link = GpuLink()
    there = link.to_device(values)()
    assert there.dtype == (torch.uint8 if dtype == np.uint8 else torch.float32)
    assert np.array_equal(link.to_host(there)(), values)


def test_a_process_that_feeds_a_gpu_switches_threads_sooner(gpu):
    sys.setswitchinterval(0.005)
    GpuLink()
    assert sys.getswitchinterval() <= device_link.SWITCH_SECONDS
    sys.setswitchinterval(1e-6)  # whoever wants less keeps it
    GpuLink()
    assert sys.getswitchinterval() < 2e-6


def test_what_a_block_costs_the_host_is_what_is_read_or_what_is_written(gpu, plan):
    """Each vote is a byte a voxel, and twice that while it is encoded; what is read is less."""
    voxels = 20 * 36 * 36
    voted, plain = (
        planned.step(planned.task(Normalisation(0.0, 1.0)))
        for planned in (plan("a", votes=True), plan("b", votes=False))
    )
    assert voted.peak_bytes == voted.waiting_bytes
    assert voted.peak_bytes - device_link.TRANSFER_BYTES == (1 + 3 + 2 * 3) * voxels
    assert plain.peak_bytes - device_link.TRANSFER_BYTES >= (1 + 2) * voxels
    assert plain.peak_bytes < voted.peak_bytes

"""The harness is tested by faults: each is planted once, and has to be found.

Every test runs a piece twice: as it is, which passes, and with one thing broken.
"""

from functools import partial

import numpy as np
import pytest
import torch
from tests.simulated_gpu.fixture import found, fresh_caches, simulated
from tests.simulated_gpu.simulation import simulated_gpus
from tests.simulated_gpu.streams import Event, SimulatedFault, Stream

from volproc.errors import ModelError
from volproc.grid.box import Box
from volproc.model import predictor
from volproc.model.normalisation import Normalisation
from volproc.model.predictor import Predictor
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.stages.inference import batches, device_link
from volproc.stages.inference.batches import BatchLimit, in_batches
from volproc.stages.inference.device_link import GpuLink
from volproc.stages.inference.tiling import Tile
from volproc.stages.train.schedule import Schedule
from volproc.stages.train.state import new_state, resume, save

SPEC = UNetSpec(slices_in=1, slices_out=1, widths=(4, 6), stem=1)
GREY = Normalisation(128.0, 40.0)
NO_WAIT = (Stream, "wait_event", lambda *_: None)
NO_WAIT_OF_THE_HOST = (Event, "synchronize", lambda *_: None)
NO_RECORD = (torch.Tensor, "record_stream", lambda *_: None)


@pytest.fixture
def two_gpus(monkeypatch):
    fresh_caches(monkeypatch)
    yield from simulated(2)


def blocks(count=3):
    rng = np.random.default_rng(7)
    return [rng.integers(0, 255, (4, 20, 21), dtype=np.uint8) for _ in range(count)]


def there_and_back():
    """Blocks that are right after they were on the GPU: one is uploaded while another is used."""
    link, right = GpuLink(), []
    for values in blocks():
        going = link.to_host(255 - link.to_device(values)())
        right.append(np.array_equal(going(), 255 - values))
    return right


def network(device="cuda", scale=1.0):
    torch.manual_seed(1)
    unet = UNet(SPEC).eval()
    with torch.no_grad():
        for weight in unet.parameters():
            weight.mul_(scale)
    return Predictor(unet, device)


def planes(device="cuda"):
    return torch.from_numpy(blocks(1)[0][:, None, :16, :16].copy()).to(device)


def answer(predict=None):
    with torch.inference_mode():
        return (predict or network())(planes(), GREY).cpu()


def test_a_stream_that_did_not_wait_is_found(gpu, planted):
    assert all(there_and_back())
    assert not found()
    planted.setattr(*NO_WAIT)
    with pytest.raises(SimulatedFault, match="has not waited"):
        there_and_back()
    assert found()


def test_a_host_that_did_not_wait_sees_rubbish(gpu, planted):
    values = blocks(1)[0]

    def fetched():
        return GpuLink().to_host(torch.from_numpy(values).to("cuda"))()

    assert np.array_equal(fetched(), values)
    planted.setattr(*NO_WAIT_OF_THE_HOST)
    assert not np.array_equal(fetched(), values)
    assert found()  # the GPU's memory is given back too early, too


def test_a_buffer_of_the_ring_that_is_filled_again_too_early_is_found(gpu, planted):
    """A block of seven parts goes up through two buffers."""
    planted.setattr(device_link, "BUFFER_BYTES", 256)
    assert all(there_and_back())
    assert not found()
    planted.setattr(*NO_WAIT_OF_THE_HOST)
    GpuLink().to_device(blocks(1)[0])
    assert any("pinned memory was changed" in fault for fault in found())


def test_a_buffer_of_the_ring_that_is_fetched_into_too_early_is_found(gpu, planted):
    """It is the one from which a block goes up."""

    def up_and_down():
        link = GpuLink()
        coming = link.to_host(torch.zeros(8, device="cuda"))
        link.to_device(blocks(1)[0])
        coming()

    up_and_down()
    planted.setattr(*NO_WAIT_OF_THE_HOST)
    with pytest.raises(SimulatedFault, match="overwrites what another stream may still read"):
        up_and_down()
    assert found()


def test_a_lost_record_of_a_stream_is_found(gpu, planted):
    def uploaded():
        link = GpuLink()
        for values in blocks():  # nothing waits for the GPU before the memory is given back
            link.to_device(values)().add(1)

    uploaded()
    assert not found()
    planted.setattr(*NO_RECORD)
    uploaded()
    assert "no record_stream" in found()[0]


@pytest.mark.parametrize("early", [False, True])
def test_a_pinned_buffer_that_is_used_again_too_early_is_found(gpu, early):
    buffer = torch.empty((4, 20, 21), dtype=torch.uint8, pin_memory=True)
    copied = torch.cuda.Event()
    for values in blocks():
        if not early:
            copied.synchronize()
        buffer.numpy()[:] = values
        buffer.to("cuda", non_blocking=True)
        copied.record()
    assert any("pinned memory was changed" in fault for fault in found()) == early


@pytest.mark.parametrize("early", [False, True])
def test_a_pinned_buffer_that_is_filled_again_while_it_is_filled_is_found(gpu, early):
    buffer, streams = torch.empty(8, pin_memory=True), [torch.cuda.Stream() for _ in range(2)]

    def fill(stream, n):
        with torch.cuda.stream(stream):
            buffer.copy_(torch.full((8,), float(n), device="cuda"), non_blocking=True)
            return stream.record_event()

    first = fill(streams[0], 0)
    if early:
        with pytest.raises(SimulatedFault):
            fill(streams[1], 1)
        assert found()
    else:
        first.synchronize()
        fill(streams[1], 1).synchronize()
        assert buffer.tolist() == [1] * 8


def test_a_tensor_on_the_wrong_device_is_refused(gpu):
    assert answer().isfinite().all()
    with pytest.raises(RuntimeError, match=r"two devices|bias type"):
        answer(network("cpu"))


SIDE = 32


def tiled(gpu, fail_at=0):
    """The answers for two tiles, where an allocation fails; and how many allocations there were."""
    values = torch.from_numpy(np.tile(np.arange(SIDE, dtype=np.uint8), (2, SIDE, 1))).to("cuda")
    predict, out = network(), torch.full((2, SIDE, SIDE), -1.0)

    def run(batch):
        stacked = torch.stack([values[one.window.slices] for one in batch])
        for one, given in zip(batch, predict(stacked, GREY, batch[0].requested).cpu()):
            out[one.output.slices] = given[0]

    boxes = [Box((n, 0, 0), (n + 1, SIDE, SIDE)) for n in range(2)]
    first = gpu.each[0].allocations
    gpu.each[0].fail_at = fail_at and first + fail_at
    with torch.inference_mode():
        limit = BatchLimit(2, 2 * SIDE**2, "cuda")
        in_batches([Tile("z", b, b) for b in boxes], run, limit=limit, halo=8, stride=2)
    return out, gpu.each[0].allocations - first


def test_memory_may_run_out_at_each_allocation(gpu, planted):
    whole, allocations = tiled(gpu)
    assert allocations > 15
    for n in range(1, allocations + 1):
        # a GPU's 16 bits: halves of a tile round otherwise, nothing is lost
        assert torch.allclose(tiled(gpu, n)[0], whole, atol=0.02), n
    planted.setattr(batches, "is_out_of_memory", lambda error: False)
    with pytest.raises(torch.OutOfMemoryError):
        tiled(gpu, 1)


def types_of_layers():
    seen, predict = set(), network()
    for part in predict.module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(lambda _, __, out: seen.add(out.dtype))
    answer(predict)
    return seen


def test_the_type_of_numbers_is_seen(gpu, planted):
    assert types_of_layers() == {torch.bfloat16}
    planted.setattr(predictor, "half", lambda: torch.float16)
    assert types_of_layers() == {torch.float16}


def test_a_type_that_an_old_gpu_lacks_is_refused(gpu, planted):
    gpu.capability = (7, 5)
    assert types_of_layers() == {torch.float16}
    planted.setattr(predictor, "half", lambda: torch.bfloat16)
    with pytest.raises(RuntimeError, match="unable to find an engine"):
        answer()


SCHEDULE = Schedule(steps=4, learning_rate=1e-3, checkpoint=1, validate=4)


def state_on(device):
    return new_state(SPEC, SCHEDULE, seed=1, device=torch.device(device))


def test_a_checkpoint_of_a_gpu_is_read_where_there_is_none(tmp_path, planted):
    save(state_on("cuda"), tmp_path, key="k")
    assert b"cuda:0" in (tmp_path / "checkpoint.pt").read_bytes()
    planted.setattr(torch.cuda, "is_available", lambda: False)
    resume(state_on("cpu"), tmp_path, key="k")
    load = torch.load
    planted.setattr(torch, "load", lambda file, **more: load(file, weights_only=True))
    with pytest.raises(ModelError, match="not a checkpoint"):
        resume(state_on("cpu"), tmp_path, key="k")


def test_planes_that_are_not_in_one_piece_are_found(gpu):
    values = blocks(1)[0][:, :, ::2]
    there = GpuLink().to_device(values)()
    assert np.array_equal(GpuLink().to_host(there)(), values)
    assert np.array_equal(GpuLink().to_host(there.permute(2, 0, 1))(), values.transpose(2, 0, 1))
    assert not found()
    pinned = torch.empty(blocks(1)[0].shape, dtype=torch.uint8, pin_memory=True)
    with pytest.raises(SimulatedFault, match="not in one piece"):
        pinned[:, :, ::2].to("cuda", non_blocking=True)
    assert found()


def test_memory_that_nobody_has_written_is_no_number(gpu, planted):
    def total():
        return float(torch.zeros(4, device="cuda").sum())

    assert total() == 0
    planted.setattr(torch, "zeros", partial(torch.empty))
    assert np.isnan(total())


def test_a_network_that_predicts_nan_is_refused(gpu):
    answer()
    with pytest.raises(ModelError, match="predicts NaN"):
        answer(network(scale=1e30))


def test_the_second_of_two_gpus_is_used_where_it_is_chosen(two_gpus):
    torch.cuda.set_device(1)
    assert answer().isfinite().all()
    assert all(there_and_back())
    assert two_gpus.each[0].allocations == 0
    plain, predict = torch.Tensor.to, network()

    def to_first(tensor, where, *more, **how):
        return plain(tensor, "cuda:0" if where == "cuda" else where, *more, **how)

    with pytest.MonkeyPatch.context() as planted:
        planted.setattr(torch.Tensor, "to", to_first)
        with pytest.raises(RuntimeError, match="two devices, cuda:0 and cuda:1"):
            answer(predict)


def test_all_is_as_before_when_the_simulation_is_over():
    with simulated_gpus():
        assert torch.cuda.is_available()
    assert not torch.cuda.is_available()
    with pytest.raises((RuntimeError, AssertionError)):
        torch.zeros(3, device="cuda")

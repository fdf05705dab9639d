"""Faults of a training on a GPU, each planted once: every test runs as it is, and broken."""

import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from tests.simulated_gpu.fixture import found
from tests.simulated_gpu.simulation import simulated_gpus
from tests.simulated_gpu.streams import Event, SimulatedFault, Stream, timeline
from tests.stages.train.tiny_training import SCHEDULE, learn, losses

from volproc.stages.train import feed, loop

CUDA = torch.device("cuda", 0)


def test_a_step_that_did_not_wait_for_its_batch_is_found(tmp_path, planted):
    learn(tmp_path / "whole", device=CUDA)
    assert not found()
    planted.setattr(Stream, "wait_event", lambda *_: None)
    with pytest.raises(SimulatedFault, match="has not waited"):
        learn(tmp_path / "broken", device=CUDA)
    assert found()


def test_a_batch_whose_memory_is_given_back_during_its_step_is_found(tmp_path, planted):
    planted.setattr(torch.Tensor, "record_stream", lambda *_: None)
    learn(tmp_path, device=CUDA)
    assert any("no record_stream" in fault for fault in found())


def test_a_batch_that_is_overwritten_before_it_is_copied_is_found(tmp_path, planted):
    buffers = {}

    def in_the_same_memory(tensor, pin=torch.Tensor.pin_memory):
        key = tensor.dtype, tensor.shape
        if key not in buffers:
            buffers[key] = pin(tensor)
        return buffers[key].copy_(tensor)

    planted.setattr(torch.Tensor, "pin_memory", in_the_same_memory)
    learn(tmp_path, device=CUDA)
    assert any("pinned memory was changed" in fault for fault in found())


def test_a_loss_that_is_read_before_it_is_there_is_found(tmp_path, planted):
    planted.setattr(Event, "synchronize", lambda *_: None)
    learn(tmp_path, device=CUDA)
    assert any(map(math.isnan, losses(tmp_path)))


def test_the_type_of_numbers_is_seen(gpu, tmp_path, planted):
    seen = set()

    def noted(layer, values, forward=torch.nn.Conv2d.forward):
        out = forward(layer, values)
        seen.add(out.dtype)
        return out

    planted.setattr(torch.nn.Conv2d, "forward", noted)
    few = replace(SCHEDULE, steps=1)
    learn(tmp_path / "new", device=CUDA, schedule=few, validate=None)
    assert seen == {torch.bfloat16}
    gpu.capability = (7, 5)
    seen.clear()
    learn(tmp_path / "old", device=CUDA, schedule=few, validate=None)
    assert seen == {torch.float32}
    planted.setattr(loop, "sixteen_bits", lambda _: torch.autocast("cuda", dtype=torch.bfloat16))
    with pytest.raises(RuntimeError, match="does not support bfloat16"):
        learn(tmp_path / "wrong", device=CUDA, schedule=few, validate=None)


def test_threads_use_the_gpu_of_the_process(tmp_path, monkeypatch):
    """Of two GPUs the second: a new thread has the first as its current one."""
    with simulated_gpus(2) as gpus:
        torch.cuda.set_device(1)
        learn(tmp_path / "second", device=torch.device("cuda"))
        assert gpus.each[0].allocations == 0 < gpus.each[1].allocations
        plain, start = feed.moved, torch.cuda.Stream

        def to_the_current_one(raw, move):
            return plain(raw, lambda part: part.pin_memory().to("cuda", non_blocking=True))

        with monkeypatch.context() as planted:
            planted.setattr(feed, "moved", to_the_current_one)
            planted.setattr(torch.cuda, "Stream", lambda device: start())
            planted.setattr(torch.cuda, "stream", lambda stream: nullcontext())
            with pytest.raises(RuntimeError, match="two devices"):
                learn(tmp_path / "first", device=torch.device("cuda"))
    timeline.faults.clear()

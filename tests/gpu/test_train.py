"""Training on a GPU: what it learns, its checkpoints, and what its thread waits for."""

import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from tests.simulated_gpu.streams import caller, timeline
from tests.stages.train.tiny_training import (
    CPU,
    SCHEDULE,
    SPEC,
    Killed,
    equal,
    learn,
    losses,
    squares,
)

from volproc import TrainOptions
from volproc.grid.scale import parse_voxel_nm
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.weights import load_model
from volproc.stages.train.augmentation.augmenter import Augmenter
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.losses import Loss
from volproc.stages.train.stage import plan_train, run_training
from volproc.stages.train.state import new_state, resume, save
from volproc.stages.train.training_sources import held_out_of, sources_of

pytestmark = pytest.mark.gpu

CUDA = torch.device("cuda", 0)
NM = parse_voxel_nm((50, 20, 20))
KINDS = ("warp", "blur", "noise", "repeated", "missing", "shifted", "charging", "curves")
EVERY_CHANGE = AugmentationOptions(profile="cross-microscope", **dict.fromkeys(KINDS, 1.0))


def of_8_bits(step, first=0, count=2):
    """Squares as images are stored, viewed along z and y."""
    raw = squares(step, first, count)
    grey = (raw.planes * 30 + 120).clamp(0, 255).to(torch.uint8)
    return replace(raw, planes=grey, mean=raw.mean + 120, std=30 * raw.std, axes=(0, 1)[:count])


# patches of two axes reach differently far in voxels: the loss is of parts of the batch
learn_changed = partial(
    learn,
    source=of_8_bits,
    augment=Augmenter(EVERY_CHANGE, SPEC, 5, NM),
    loss=Loss(NM, border_weight=1.0, border_nm=50.0, boundary=0.5),
)


@pytest.mark.parametrize("how", [learn, learn_changed], ids=["plain", "changed"])
def test_it_learns_as_on_the_cpu(tmp_path, how):
    for name, device in (("cpu", CPU), ("cuda", CUDA)):
        how(tmp_path / name, device=device)
    on_cpu, on_gpu = losses(tmp_path / "cpu"), losses(tmp_path / "cuda")
    # 16 bits round, and noise is drawn on the device
    assert on_gpu == pytest.approx(on_cpu, abs=0.2)
    assert on_gpu[0] == pytest.approx(on_cpu[0], abs=0.05)


def test_killed_and_resumed_ends_the_same(tmp_path):
    undisturbed = learn_changed(tmp_path / "whole", device=CUDA)
    for stop in (7, 11):
        with pytest.raises(Killed):
            learn_changed(tmp_path / "cut", device=CUDA, stop=stop)
    assert equal(learn_changed(tmp_path / "cut", device=CUDA), undisturbed)
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_a_model_that_was_trained_and_scored_there_is_the_cpus_but_for_rounding(
    tmp_path, save_volume
):
    z, y, x = np.ogrid[:12, :40, :40]
    ball = (z - 6) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 < 36
    grey = (100 + 60 * ball + (3 * z + y + x) % 11).astype(np.uint8)
    nm = {"voxel_nm": (50, 50, 50)}
    images = (save_volume("image.zarr", grey, **nm).info.url,)
    labels = (save_volume("ball.zarr", ball.astype(np.uint16), kind="labels", **nm).info.url,)
    small = {"widths": (3, 4), "slices_in": 4, "slices_out": 2, "patch": 16, "batch": 2}
    small |= {"images": images, "labels": labels, "steps": 30, "validate_steps": 15}
    apart = save_volume("held.zarr", grey[:, ::-1], **nm).info.url
    held = {"validation_images": (apart,), "validation_labels": labels}

    def trained(device):
        options = TrainOptions(**small, **held, model_out=str(tmp_path / device), device=device)
        plan = plan_train(sources_of(options), options, validation=held_out_of(options))
        return run_training(plan)

    on_cpu, on_gpu = trained("cpu"), trained("cuda")
    assert on_gpu.scores == pytest.approx(on_cpu.scores, abs=0.1)
    planes = torch.randn(2, 4, 16, 16)
    one, other = (load_model(tmp_path / name)[0].eval()(planes) for name in ("cpu", "cuda"))
    assert torch.allclose(one, other, atol=0.2)


@pytest.mark.parametrize("way", [(CUDA, CPU), (CPU, CUDA)], ids=["to the CPU", "to the GPU"])
def test_a_checkpoint_goes_on_elsewhere(tmp_path, way):
    before, after = way
    with pytest.raises(Killed):
        learn(tmp_path, device=before, stop=7)
    states = [new_state(SPEC, SCHEDULE, seed=9, device=device) for device in way]
    for state in states:
        resume(state, tmp_path, key="a")
    assert states[0].step == 5
    assert equal(*states)
    moments = [list(one.optimiser.state_dict()["state"].values()) for one in states]
    for one, other in zip(*moments, strict=True):
        assert other["exp_avg"].device == after
        assert torch.equal(one["exp_avg_sq"].cpu(), other["exp_avg_sq"].cpu())
    save(states[1], tmp_path / "again", key="a")
    resume(states[0], tmp_path / "again", key="a")
    assert equal(*states)
    moved = learn(tmp_path, device=after)
    stayed = learn(tmp_path / "stayed", device=before)
    assert moved.step == stayed.step == SCHEDULE.steps
    assert losses(tmp_path) == pytest.approx(losses(tmp_path / "stayed"), abs=0.05)


@pytest.mark.parametrize(
    "spec", [SPEC, EtchACellSpec(1, 1, 2, levels=2)], ids=["unet", "etchacell"]
)
def test_the_loop_waits_for_nothing_but_losses_of_steps_before(gpu, tmp_path, monkeypatch, spec):
    if not gpu:
        pytest.skip("a real GPU does not count what waits for it")
    waits, begun = [], threading.Event()

    def source(step, first, count):
        begun.set()
        return of_8_bits(step, first, count)

    def counted(clock, why, wait=timeline.host_waits):
        if begun.is_set() and threading.current_thread() is threading.main_thread():
            stream = torch.cuda.current_stream()
            waits.append((caller(), stream.launched - clock.get(stream, 0)))
        wait(clock, why)

    monkeypatch.setattr(timeline, "host_waits", counted)
    schedule = replace(SCHEDULE, steps=8, checkpoint=100, validate=100)
    learn_changed(tmp_path, spec=spec, device=CUDA, schedule=schedule, source=source, validate=None)
    assert {line.partition(":")[0] for line, _ in waits} == {"loop.py"}
    assert len(waits) == schedule.steps
    *earlier, last = [behind for _, behind in waits]
    assert min(earlier) > 50  # operations of the next step that it was told before
    assert last == 0

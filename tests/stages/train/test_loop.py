"""The loop: it learns, and interrupted anywhere it ends with the same weights, bit by bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch

from volproc.engine.records import record_log
from volproc.errors import ModelError
from volproc.model.unet import UNet, UNetSpec
from volproc.stages.train.batch import Batch
from volproc.stages.train.loop import Schedule, new_state, train

SPEC = UNetSpec(1, 1, (4, 6), stem=1)
CPU = torch.device("cpu")


class Killed(Exception):
    """Stands for a signal."""


def squares(step: int) -> Batch:
    """Bright squares on noise: what is bright is the object."""
    random = torch.Generator().manual_seed(step)
    truth = torch.zeros(2, 1, 16, 16)
    for index in range(2):
        top, left = torch.randint(0, 8, (2,), generator=random).tolist()
        truth[index, 0, top : top + 8, left : left + 8] = 1
    planes = 2 * truth - 1 + 0.3 * torch.randn(truth.shape, generator=random)
    return Batch(planes, truth[:, None], torch.ones_like(truth)[:, None])


def learn(
    folder: Path | str,
    *,
    steps: int = 12,
    key: str = "a",
    stop: int | None = None,
    from_scratch: bool = False,
) -> UNet:
    """Train a tiny network, or die just before step `stop`."""

    def batches(step: int) -> Batch:
        if step == stop:
            raise Killed
        return squares(step)

    schedule = Schedule(steps=steps, learning_rate=0.02, warmup=3, checkpoint=5, validate=4)
    return train(
        new_state(SPEC, schedule, seed=3, device=CPU),
        schedule,
        batches=batches,
        folder=folder,
        key=key,
        from_scratch=from_scratch,
        scores=lambda network: {"bias": float(network.head.bias[0])},
    )


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_it_learns(tmp_path: Path) -> None:
    network = learn(tmp_path, steps=40)
    seen = losses(tmp_path)
    assert sum(seen[-5:]) < 0.6 * sum(seen[:5])
    planes, truth, _ = squares(1000)
    assert ((network(planes) > 0) == (truth[:, 0] > 0.5)).float().mean() > 0.9


@pytest.mark.parametrize("stops", [(1,), (5,), (7, 7, 11), (4, 9)])
def test_killed_and_resumed_ends_the_same(tmp_path: Path, stops: tuple[int, ...]) -> None:
    undisturbed = learn(tmp_path / "whole").state_dict()
    for stop in stops:
        with pytest.raises(Killed):
            learn(tmp_path / "cut", stop=stop)
    resumed = learn(tmp_path / "cut").state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in undisturbed.items())
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_killed_in_a_bucket_it_ends_as_in_a_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "whole", f"memory://{uuid4().hex}/training"
    undisturbed = learn(here).state_dict()
    for stop in (7, 11):
        with pytest.raises(Killed):
            learn(there, stop=stop)
    resumed = learn(there).state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in undisturbed.items())
    logs = [record_log(f"{place}/log.jsonl").read() for place in (here, there)]
    assert logs[0] == logs[1]


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first = learn(tmp_path)
    again = learn(tmp_path, stop=0)
    assert torch.equal(first.head.weight, again.head.weight)


def test_half_a_checkpoint_beside_the_whole_one_does_no_harm(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        learn(tmp_path, stop=7)
    (tmp_path / "checkpoint.pt.part").write_bytes(b"half")
    learn(tmp_path)
    assert len(losses(tmp_path)) == 12


def test_a_checkpoint_of_a_gpu_goes_on_on_a_machine_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as on_gpu:
        on_gpu.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        with pytest.raises(Killed):
            learn(tmp_path / "a", stop=7)
    resumed, whole = learn(tmp_path / "a"), learn(tmp_path / "b")
    for one, other in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_trainings_checkpoint_is_refused(tmp_path: Path) -> None:
    learn(tmp_path, steps=5)
    with pytest.raises(ModelError, match="belongs to a training with other options or data"):
        learn(tmp_path, steps=5, key="b")


def test_or_it_is_begun_from_scratch_where_asked(tmp_path: Path) -> None:
    learn(tmp_path / "one", steps=5)
    other = learn(tmp_path / "one", key="b", from_scratch=True)
    assert len(losses(tmp_path / "one")) == 12
    assert torch.equal(other.head.weight, learn(tmp_path / "two", key="b").head.weight)


def test_a_broken_checkpoint_is_refused(tmp_path: Path) -> None:
    learn(tmp_path, steps=5)
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing of use")
    with pytest.raises(ModelError, match=r"checkpoint\.pt is not a checkpoint.*remove it to train"):
        learn(tmp_path)


def test_scores_are_logged_and_watched(tmp_path: Path) -> None:
    told: list[Mapping[str, Any]] = []
    schedule = Schedule(steps=6, validate=4, checkpoint=100)
    train(
        new_state(SPEC, schedule, seed=0, device=CPU),
        schedule,
        batches=squares,
        folder=tmp_path,
        key="a",
        scores=lambda _: {"dice_z": 0.5},
        watch=told.append,
    )
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "dice_z" in line] == [4, 6]
    assert [event["step"] for event in told] == [1, 2, 3, 4, 5, 6]
    assert all(event["steps"] == 6 for event in told)


def test_first_weights_depend_on_the_seed_only() -> None:
    schedule = Schedule(steps=1)
    torch.manual_seed(0)
    first = new_state(SPEC, schedule, seed=4, device=CPU).network.head.weight
    before = torch.rand(1)
    torch.manual_seed(0)
    torch.testing.assert_close(before, torch.rand(1))
    assert torch.equal(first, new_state(SPEC, schedule, seed=4, device=CPU).network.head.weight)
    assert not torch.equal(first, new_state(SPEC, schedule, seed=5, device=CPU).network.head.weight)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    schedule = Schedule(steps=100, learning_rate=1.0, warmup=10)
    rates = [schedule.rate(step) for step in range(101)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) <= 1
    assert rates[-1] == pytest.approx(0)


def test_it_goes_on_from_a_trained_network() -> None:
    schedule = Schedule(steps=1)
    trained = new_state(SPEC, schedule, seed=4, device=CPU).network
    state = new_state(SPEC, schedule, seed=9, device=CPU, trained=trained)
    assert torch.equal(state.network.head.weight, trained.head.weight)
    assert torch.equal(state.average.head.weight, trained.head.weight)

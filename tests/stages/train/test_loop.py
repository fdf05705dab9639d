"""The loop: it learns, and interrupted anywhere it ends with the same weights, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from tests.stages.train.tiny_training import (
    CPU,
    SCHEDULE,
    SPEC,
    Killed,
    as_they_are,
    equal,
    learn,
    losses,
    rows,
    squares,
    steps_done,
)

from volproc.engine.records import record_log
from volproc.errors import ModelError
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import PlaneNetwork
from volproc.stages.train.batch import RawPatches
from volproc.stages.train.feed import AHEAD, Feed
from volproc.stages.train.loop import Progress
from volproc.stages.train.schedule import Schedule
from volproc.stages.train.state import new_state, save


def test_it_learns(tmp_path: Path) -> None:
    state = learn(tmp_path, schedule=replace(SCHEDULE, steps=40))
    seen = losses(tmp_path)
    assert sum(seen[-5:]) < 0.6 * sum(seen[:5])
    batch = as_they_are(squares(1000))
    found = state.average(batch.planes) > 0
    assert (found == (batch.target[:, 0] > 0.5)).float().mean() > 0.9


@pytest.mark.parametrize("stops", [(1,), (5,), (7, 7, 11), (4, 9)])
def test_killed_and_resumed_ends_the_same(tmp_path: Path, stops: tuple[int, ...]) -> None:
    undisturbed = learn(tmp_path / "whole")
    for stop in stops:
        with pytest.raises(Killed):
            learn(tmp_path / "cut", stop=stop)
    assert equal(learn(tmp_path / "cut"), undisturbed)
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_killed_in_a_bucket_it_ends_as_in_a_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "whole", f"memory://{uuid4().hex}/training"
    undisturbed = learn(here)
    for stop in (7, 11):
        with pytest.raises(Killed):
            learn(there, stop=stop)
    assert equal(learn(there), undisturbed)
    logs = [record_log(f"{place}/log.csv").read() for place in (here, there)]
    assert logs[0] == logs[1]


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first = learn(tmp_path)
    assert equal(learn(tmp_path, stop=0), first)


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
    assert equal(learn(tmp_path / "a"), learn(tmp_path / "b"))


def test_another_trainings_checkpoint_is_refused(tmp_path: Path) -> None:
    learn(tmp_path)
    with pytest.raises(ModelError, match="belongs to a training with other options or data"):
        learn(tmp_path, key="b")


def test_or_it_is_begun_from_scratch_where_asked(tmp_path: Path) -> None:
    learn(tmp_path / "one", schedule=replace(SCHEDULE, steps=5))
    other = learn(tmp_path / "one", key="b", from_scratch=True)
    assert len(losses(tmp_path / "one")) == 12
    assert equal(other, learn(tmp_path / "two", key="b"))


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    learn(tmp_path)
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"checkpoint\.pt is not a checkpoint.*remove it to train"):
        learn(tmp_path)
    torch.save({"key": "a", "step": Path("/")}, path)
    with pytest.raises(ModelError, match=r"pickle of something else, which is never run"):
        learn(tmp_path)
    other = UNetSpec(1, 1, (4, 8), stem=1)
    save(new_state(other, SCHEDULE, seed=3, device=CPU), tmp_path, key="a")
    with pytest.raises(ModelError, match=r"checkpoint of another network \(.*shape"):
        learn(tmp_path)


def test_scores_are_logged_and_watched(tmp_path: Path) -> None:
    told: list[Progress] = []
    learn(tmp_path, schedule=replace(SCHEDULE, steps=6), watch=told.append)
    scored = {row["step"]: row["bias"] for row in rows(tmp_path) if row["bias"]}
    assert [*scored] == ["4", "6"]
    assert [now.step for now in told] == [1, 2, 3, 4, 5, 6]
    assert told[2].score is None
    assert told[-1].score == pytest.approx(max(map(float, scored.values())), rel=1e-5)
    assert all(now.steps == 6 and now.speed > 0 and now.waiting <= 1 for now in told)


SERIES = (0.1, 0.5, None, 0.5, 0.2, 0.9)
"""Scores of the validations at steps 2, 4, ...: until the last one the second is the best."""
OFTEN = replace(SCHEDULE, validate=2, checkpoint=2)


def by_series(network: PlaneNetwork) -> dict[str, float | None]:
    """The score of a network by its step, which BatchNorm counts."""
    step = next(v for name, v in network.state_dict().items() if "num_batches" in name)
    return {"bias": SERIES[int(step) // 2 - 1]}


@pytest.mark.parametrize("stops", [(), (4,), (7, 9)])
def test_training_ends_early_and_the_best_is_kept(tmp_path: Path, stops: tuple[int, ...]) -> None:
    schedule = replace(OFTEN, patience=3)
    for stop in stops:
        with pytest.raises(Killed):
            learn(tmp_path, schedule=schedule, validate=by_series, stop=stop)
    state = learn(tmp_path, schedule=schedule, validate=by_series)
    assert (state.step, state.best.step, state.best.score) == (10, 4, 0.5)
    assert state.has_stalled(schedule)
    assert len(rows(tmp_path)) == 10
    assert equal(learn(tmp_path, schedule=schedule, validate=by_series, stop=10), state)
    shorter = learn(tmp_path / "to 4", schedule=OFTEN, is_over=steps_done(4), until=True)
    best = state.best_network().state_dict()
    assert all(torch.equal(v, best[n]) for n, v in shorter.average.state_dict().items())


def test_without_patience_the_last_steps_are_done_and_may_be_better(tmp_path: Path) -> None:
    state = learn(tmp_path, schedule=OFTEN, validate=by_series)
    assert (state.step, state.best.step, state.best.score) == (12, 12, 0.9)


def test_without_validation_the_last_weights_are_the_best(tmp_path: Path) -> None:
    state = learn(tmp_path, validate=None, score_names=())
    assert all(
        torch.equal(v, state.average.state_dict()[n])
        for n, v in state.best_network().state_dict().items()
    )


def test_when_the_time_is_over_it_goes_on_later(tmp_path: Path) -> None:
    learn(tmp_path / "cut", is_over=steps_done(7), until=True)
    assert equal(learn(tmp_path / "cut"), learn(tmp_path / "whole"))


def test_batches_come_in_order_and_a_few_are_made_ahead() -> None:
    asked: list[int] = []

    def patches(step: int, first: int, count: int) -> RawPatches:
        asked.append(step)
        return squares(step, first, count)

    feed = Feed(patches, as_they_are, CPU, range(2))
    for step, (batch, _) in zip(range(3, 20), feed.steps(3, 20)):
        assert torch.equal(batch.planes, squares(step).planes)
        assert max(asked) <= step + AHEAD
    assert sorted(asked) == [*range(3, 20)]


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

"""A training of a few steps that takes seconds: bright squares on noise."""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from volproc.errors import StoppedError
from volproc.model.spec import PlaneSpec
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import PlaneNetwork
from volproc.stages.train.batch import Batch, RawPatches
from volproc.stages.train.loop import Training, train
from volproc.stages.train.losses import Loss
from volproc.stages.train.schedule import Schedule
from volproc.stages.train.state import State, new_state

SPEC = UNetSpec(1, 1, (4, 6), stem=1)
CPU = torch.device("cpu")
SCHEDULE = Schedule(steps=12, learning_rate=0.02, warmup=3, checkpoint=5, validate=4)


class Killed(Exception):
    """Stands for a signal."""


def squares(step: int, first: int = 0, count: int = 2) -> RawPatches:
    """Bright squares on noise: what is bright is the object."""
    random = torch.Generator().manual_seed(step)
    truth = torch.zeros(2, 1, 16, 16)
    for index in range(2):
        top, left = torch.randint(0, 8, (2,), generator=random).tolist()
        truth[index, 0, top : top + 8, left : left + 8] = 1
    planes = 2 * truth - 1 + 0.3 * torch.randn(truth.shape, generator=random)
    own = slice(first, first + count)
    return RawPatches(
        planes=planes[own],
        mean=torch.zeros(count),
        std=torch.ones(count),
        target=(255 * truth[own, None]).to(torch.uint8),
        weight=torch.full_like(truth[own, None], 255, dtype=torch.uint8),
        axes=(0,) * count,
        step=step,
        first=first,
    )


def as_they_are(raw: RawPatches) -> Batch:
    return Batch(raw.planes, raw.target / 255, raw.weight / 255)


def bias(network: PlaneNetwork) -> dict[str, float]:
    """A score that differs from step to step."""
    return {"bias": float(network.head.bias[0])}


def learn(
    folder: Path | str,
    *,
    spec: PlaneSpec = SPEC,
    schedule: Schedule = SCHEDULE,
    key: str = "a",
    stop: int | None = None,
    from_scratch: bool = False,
    until: bool = False,
    device: torch.device = CPU,
    source: Callable[[int, int, int], RawPatches] = squares,
    **more: Any,
) -> State:
    """Train a tiny network, or die just before step `stop`; with `until` it is stopped in time."""

    def patches(step: int, first: int, count: int) -> RawPatches:
        if step == stop:
            raise Killed
        return source(step, first, count)

    usual: dict[str, Any] = {"augment": as_they_are, "loss": Loss((1, 1, 1)), "batch": 2}
    usual |= {"validate": bias, "score_names": ("bias",), "best_by": "bias"}
    training = Training(schedule, patches, **usual | more)
    state = new_state(spec, schedule, seed=3, device=device)
    with pytest.raises(StoppedError, match="is in its checkpoint") if until else nullcontext():
        train(state, training, folder, key=key, from_scratch=from_scratch)
    return state


def steps_done(count: int) -> Callable[[], bool]:
    """Answers, asked once a step, whether `count` are done."""
    asked = iter(range(1, 1000))
    return lambda: next(asked) >= count


def rows(folder: Path) -> list[dict[str, str]]:
    return [*csv.DictReader((folder / "log.csv").read_text().splitlines())]


def equal(one: State, other: State) -> bool:
    """Whether everything in two states is the same, the best network too."""
    pairs = [
        (a.state_dict(), b.state_dict())
        for a, b in [(one.network, other.network), (one.average, other.average)]
    ]
    pairs.append((one.best.weights, other.best.weights))
    same = all(torch.equal(v.cpu(), b[name].cpu()) for a, b in pairs for name, v in a.items())
    bests = [(s.best.score, s.best.step, s.best.missed) for s in (one, other)]
    return same and one.step == other.step and bests[0] == bests[1]


def losses(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in rows(folder)]

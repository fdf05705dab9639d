"""The training loop: steps, checkpoints, a log. Killed and started again, it ends the same.

    step n:  patches(n) -> augmented -> loss -> optimiser -> average of the weights
    every `validate` steps: scores of the average; the best one is kept
    every `checkpoint` steps: the whole state, in a file of its own that is renamed into place

A step depends on the state before it and on its number, and on nothing else (no global random
numbers, no clock), so resuming from a checkpoint gives the same as an uninterrupted training. That
is why the loop is our own and not Lightning's, which owns the order of batches and resumes from
whole epochs, and whose callbacks, loggers and strategies are more code to know than all of this.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from volproc.errors import StoppedError
from volproc.model.weights import PlaneNetwork
from volproc.stages.train.batch import Batch
from volproc.stages.train.feed import Augment, Feed, Patches
from volproc.stages.train.losses import Loss
from volproc.stages.train.processes import ALONE, Processes, share_batches
from volproc.stages.train.schedule import Schedule
from volproc.stages.train.state import State, resume, save, update_average
from volproc.stages.train.training_log import TrainingLog

Scores = Mapping[str, float | None]
"""Scores by name; None where there is nothing to score."""


@dataclass(frozen=True)
class Progress:
    """What is known after a step."""

    step: int
    steps: int
    loss: float
    score: float | None
    """The best one so far."""
    speed: float
    """Patches a second, of all processes, since the training was started or resumed."""
    waiting: float
    """Share of the time that was spent waiting for patches."""


Watch = Callable[[Progress], None]
"""Called after every step."""


@dataclass(frozen=True)
class Training:
    """All that a loop needs besides the state: see `train`."""

    schedule: Schedule
    patches: Patches
    augment: Augment
    loss: Loss
    batch: int
    """Patches per step, of all processes."""
    validate: Callable[[PlaneNetwork], Scores] | None = None
    score_names: Sequence[str] = ()
    best_by: str = ""
    """The score by which a network is better than another."""
    processes: Processes = ALONE
    tensorboard: bool = False
    compiled: bool = False
    watch: Watch = lambda _: None
    is_over: Callable[[], bool] = lambda: False
    """Whether the time for further steps is over."""


def train(
    state: State, training: Training, folder: Path | str, *, key: str, from_scratch: bool = False
) -> State:
    """The state after all steps, resumed from `folder` if possible.

    `folder`, a path or URL, gets checkpoint.pt and log.csv. `key` names what the training depends
    on: a checkpoint with another one is dropped if `from_scratch`, else ModelError. StoppedError
    when the time is over, after a checkpoint.
    """
    processes = training.processes
    if processes.is_first:
        resume(state, folder, key=key, from_scratch=from_scratch)
    if processes.count > 1:
        state.load(processes.from_first(state.dump()))
    share_batches(state.network, processes, training.batch)
    if training.compiled:
        state.network.compile()
    with reproducible():
        _steps(state, training, folder, key)
    return state


def _steps(state: State, training: Training, folder: Path | str, key: str) -> None:
    """All steps that are left."""
    schedule, processes = training.schedule, training.processes
    if state.is_over(schedule):
        return
    log = _log(state, training, folder)
    share = processes.share(training.batch)
    feed = Feed(training.patches, training.augment, state.device, share)
    pace = _Pace(state.step, training.batch)
    over = stopped = False
    coming: deque[_Done] = deque()
    for batch, axes in feed.steps(state.step, schedule.steps):
        rate = schedule.rate(state.step)
        loss = on_its_way(one_step(state, training, batch, axes))
        scores = _validated(state, training)
        over, stopped = processes.first_says(state.is_over(schedule), training.is_over())
        coming.append(_Done(state.step, rate, loss, scores, state.best.score))
        due = over or stopped or state.step % schedule.checkpoint == 0
        # the loss of a step is waited for when the next one is under way
        while len(coming) > (0 if due else 1):
            _tell(coming.popleft(), training, log, pace, feed)
        if due and log:
            log.flush()
            save(state, folder, key=key)
        if over or stopped:
            break
    if log:
        log.close()
    if stopped and not over:
        raise StoppedError(
            f"stopped as --until says: step {state.step} of {schedule.steps} of the training is in "
            "its checkpoint; the same command goes on from here"
        )


@dataclass(frozen=True)
class _Done:
    """A step that the device has been told to do."""

    step: int
    rate: float
    loss: Callable[[], float]
    scores: Scores
    best: float | None


def _tell(
    done: _Done, training: Training, log: TrainingLog | None, pace: _Pace, feed: Feed
) -> None:
    """Log a step and tell how far the training is, once its loss is there."""
    loss = done.loss()
    speed, waiting = pace.speed(done.step), pace.share(feed.waited)
    row = {"step": done.step, "loss": loss, "learning_rate": done.rate, **done.scores}
    if log:
        log.add(row, speed)
    steps = training.schedule.steps
    training.watch(Progress(done.step, steps, loss, done.best, speed, waiting))


@dataclass
class _Pace:
    """How fast a training is since it was started or resumed."""

    first: int
    batch: int
    began: float = field(default_factory=time.monotonic)

    def speed(self, step: int) -> float:
        """Patches a second."""
        return (step - self.first) * self.batch / (time.monotonic() - self.began)

    def share(self, waited: float) -> float:
        """Of the time, what so many seconds are."""
        return waited / (time.monotonic() - self.began)


def _log(state: State, training: Training, folder: Path | str) -> TrainingLog | None:
    if not training.processes.is_first:
        return None
    names, board = training.score_names, training.tensorboard
    return TrainingLog(folder, step=state.step, scores=names, tensorboard=board)


def _validated(state: State, training: Training) -> dict[str, Any]:
    """The scores after this step, if it is one to validate; the best network is kept."""
    due = state.step == training.schedule.steps or state.step % training.schedule.validate == 0
    if not due or training.validate is None:
        return {}
    scores = training.validate(state.average)
    state.best.consider(scores[training.best_by], state.step, state.average)
    return dict(scores)


def one_step(state: State, training: Training, batch: Batch, axes: Sequence[int]) -> Tensor:
    """The loss before the step, on the device; `state` is one step further."""
    schedule, processes = training.schedule, training.processes
    for group in state.optimiser.param_groups:
        group["lr"] = schedule.rate(state.step)
    state.network.train()
    with sixteen_bits(state.device):
        output = state.network(batch.planes.contiguous(memory_format=torch.channels_last))
    logits = output.float().unflatten(1, batch.target.shape[1:3])
    loss = training.loss(logits, batch, axes, processes.together)
    state.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    processes.mean_gradients(state.network.parameters())
    clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimiser.step()
    state.step += 1
    update_average(state, decay=schedule.decay(state.step))
    return loss.detach()


def on_its_way(number: Tensor) -> Callable[[], float]:
    """Gives a number of the device, and waits only until what it was told before is done."""
    if not number.is_cuda:
        return number.item
    here = torch.empty(number.shape, dtype=number.dtype, pin_memory=True)
    here.copy_(number, non_blocking=True)
    copied = torch.cuda.current_stream(number.device).record_event()

    def arrived() -> float:
        copied.synchronize()
        return here.item()

    return arrived


def sixteen_bits(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU that has it, else float32: float16 would need its gradients scaled."""
    has = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has)


@contextmanager
def reproducible() -> Iterator[None]:
    """Within it, equal steps on equal GPUs give equal weights: cuDNN adds in one order.

    Of max pooling whose windows overlap (Etch-a-Cell's network) torch promises no such order.
    """
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        yield

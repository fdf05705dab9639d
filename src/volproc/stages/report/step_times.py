"""What each step took, kept and used, from the log of a run and of those that went on with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from volproc.faults import MALFORMED


@dataclass(frozen=True)
class StepTime:
    """What a step took, all runs together; `blocks` and `voxels` are those done, not skipped.

    `kept` are the blocks that its last run found done, `retries` the further tries of blocks,
    `promised_bytes` the most memory that a worker was to need, `peak_bytes` the most that one used:
    0 where that is not known, as no worker used more than in steps before. `open` if its last run
    did not come to its end.
    """

    step: str
    runs: int = 0
    blocks: int = 0
    voxels: int = 0
    kept: int = 0
    total: int = 0
    retries: int = 0
    failed: int = 0
    seconds: float = 0.0
    promised_bytes: int = 0
    peak_bytes: int = 0
    open: bool = False

    @property
    def rate(self) -> float | None:
        """Voxels per second; None where nothing was done."""
        return self.voxels / self.seconds if self.voxels and self.seconds else None


@dataclass(frozen=True)
class History:
    """The steps in the order they first began, and why the last run ended early; "" if it did not.

    Levels of a pyramid are one step. A run that was killed counts until its last block.
    """

    steps: tuple[StepTime, ...]
    failure: str = ""


@dataclass
class _Open:
    began: float
    last: float


def history_of(lines: Iterable[str]) -> History:
    """What a log tells; lines that are cut short or damaged are left out."""
    rows: dict[str, StepTime] = {}
    running: dict[str, _Open] = {}
    most: dict[tuple[str, int], int] = {}
    failure = ""
    for line in lines:
        with suppress(*MALFORMED):
            event = json.loads(line)
            if not isinstance(event, dict):
                continue
            if event["event"] in ("BlockFailed", "Crashed"):
                failure = _failure(event)
            elif event["event"] in ("StepStarted", "StepFinished"):
                failure = ""
            if "step" in event:
                _count(_with_own_peak(event, most), rows, running)
    steps = (_closed(row, running.get(step)) for step, row in rows.items())
    return History(tuple(steps), failure)


def _failure(event: dict[str, Any]) -> str:
    where = f"block {event['block']} of {event['step']}: " if "block" in event else ""
    return f"{where}{event['reason']}"


def _with_own_peak(event: dict[str, Any], most: dict[tuple[str, int], int]) -> dict[str, Any]:
    """The event with a peak only where its worker used more memory than ever before.

    A process knows its peak since it began, which an earlier step may have caused.
    """
    if event["event"] != "BlockDone":
        return event
    worker, peak = (str(event.get("host", "")), event["worker"]), event["peak_bytes"]
    rose = peak > most.get(worker, 0)
    most[worker] = max(peak, most.get(worker, 0))
    return {**event, "peak_bytes": peak if rose else 0}


def _count(event: dict[str, Any], rows: dict[str, StepTime], running: dict[str, _Open]) -> None:
    step = re.sub(r", level \d+$", "", event["step"])
    row = rows.get(step, StepTime(step))
    kind, now = event["event"], float(event["time"])
    if kind == "StepStarted":
        row = _begun(_closed(row, running.pop(step, None)), event)
        running[step] = _Open(now, now)
    elif kind == "BlockDone":
        if step in running:
            running[step].last = now
        row = replace(
            row,
            blocks=row.blocks + 1,
            voxels=row.voxels + event["voxels"],
            retries=row.retries + event.get("tries", 1) - 1,
            peak_bytes=max(row.peak_bytes, event["peak_bytes"]),
        )
    elif kind in ("StepProgress", "Advanced") and step in running:  # Advanced: logs of before
        running[step].last = now
    elif kind == "BlockFailed":
        row = replace(row, failed=row.failed + 1)
    elif kind == "StepFinished":
        running.pop(step, None)
        alone = 0 if event["blocks"] else event["voxels"]  # else its blocks were counted
        row = replace(row, seconds=row.seconds + event["seconds"], voxels=row.voxels + alone)
    rows[step] = row


def _begun(row: StepTime, event: dict[str, Any]) -> StepTime:
    """A further run of the step, or a further level of a pyramid, which belongs to the same."""
    level = re.search(r", level (\d+)$", event["step"])
    further = level is not None and level[1] != "1"
    return replace(
        row,
        runs=row.runs + (not further),
        kept=event["done"] + row.kept * further,
        total=event["total"] + row.total * further,
        promised_bytes=max(row.promised_bytes, event.get("promised_bytes", 0)),
    )


def _closed(row: StepTime, left: _Open | None) -> StepTime:
    """The row with the time of a run that never finished."""
    if not left:
        return replace(row, open=False)
    return replace(row, seconds=row.seconds + left.last - left.began, open=True)

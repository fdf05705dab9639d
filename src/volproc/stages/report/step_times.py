"""Time and rate of each step, from the log of one run or of several that took each other up."""

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
    """What a step took, all runs together; `blocks` and `voxels` are those done, not skipped."""

    step: str
    runs: int = 0
    blocks: int = 0
    voxels: int = 0
    failed: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def rate(self) -> float | None:
        """Voxels per second; None where nothing was done."""
        return self.voxels / self.seconds if self.voxels and self.seconds else None


@dataclass
class _Open:
    began: float
    last: float


def times_of(lines: Iterable[str]) -> tuple[StepTime, ...]:
    """One row per step, in the order they first began; levels of a pyramid are one step.

    A run that was killed counts until its last block. Lines that are cut short or damaged are left
    out.
    """
    rows: dict[str, StepTime] = {}
    running: dict[str, _Open] = {}
    for line in lines:
        with suppress(*MALFORMED):
            event = json.loads(line)
            if isinstance(event, dict) and "step" in event:
                _count(event, rows, running)
    return tuple(_closed(row, running.get(step)) for step, row in rows.items())


def _count(event: dict[str, Any], rows: dict[str, StepTime], running: dict[str, _Open]) -> None:
    step = re.sub(r", level \d+$", "", event["step"])
    row = rows.get(step, StepTime(step))
    kind, now = event["event"], float(event["time"])
    if kind == "StepStarted":
        row = replace(_closed(row, running.pop(step, None)), runs=row.runs + _new_run(event))
        running[step] = _Open(now, now)
    elif kind == "BlockDone":
        if step in running:
            running[step].last = now
        row = replace(
            row,
            blocks=row.blocks + 1,
            voxels=row.voxels + event["voxels"],
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


def _new_run(event: dict[str, Any]) -> int:
    """1 unless this is a further level of a pyramid, which belongs to the same run."""
    found = re.search(r", level (\d+)$", event["step"])
    return int(found is None or found[1] == "1")


def _closed(row: StepTime, left: _Open | None) -> StepTime:
    """The row with the time of a run that never finished."""
    return replace(row, seconds=row.seconds + left.last - left.began) if left else row

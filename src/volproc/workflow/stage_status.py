"""What of a run is done, stale, begun or missing: read from what lies in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from volproc.engine.ledger import recorded_blocks
from volproc.engine.protocol import Step
from volproc.errors import VolprocError
from volproc.lease.lease_file import newest
from volproc.lease.owner import machine, parsed, started
from volproc.stages.claims import Claim
from volproc.workflow.filled import own
from volproc.workflow.plans import (
    Plans,
    chosen,
)
from volproc.workflow.workflow_file import Workflow

Word = Literal["done", "stale", "begun", "missing", "blocked"]


@dataclass(frozen=True)
class StageStatus:
    """A stage of a run: the word for where it stands, and what more there is to say.

    stale: made from other options or inputs than those of today; the next run remakes it.
    blocked: it cannot be planned, and `detail` says why.
    """

    name: str
    state: Word
    detail: str = ""


def status_of(options: Workflow) -> tuple[StageStatus, ...]:
    """Where each stage of a run stands; nothing is written."""
    names = [stage.name for stage in chosen(options, ()) if stage.name != "report"]
    plans = Plans(options, frozenset(names), dry_run=True)
    return tuple(_status(options, plans, name) for name in names)


def steps_of(options: Workflow, stages: Sequence[str]) -> list[tuple[str, tuple[Step, ...]]]:
    """The steps of every stage, each with how many of its blocks are recorded; nothing is run."""
    names = [stage.name for stage in chosen(options, stages) if stage.name != "report"]
    plans = Plans(options, frozenset(names), dry_run=True)
    return [(name, tuple(_counted(options, plans, name))) for name in names]


def _counted(options: Workflow, plans: Plans, name: str) -> Iterator[Step]:
    done = plans.claim(name).state == "done"
    for step in plans.steps(name):
        recorded = len(step.blocks) if done else blocks_done(options, step)
        yield replace(step, recorded=min(recorded, len(step.blocks)))


def at_work(options: Workflow) -> str:
    """Who writes the run at this moment, and since when; "" if nobody does."""
    _, text = newest(own(options, "ledger"))
    owner = parsed(text)
    if owner is None or owner.state != "held":
        return ""
    ended = owner.machine == machine() and started(owner.pid) != owner.started
    return "" if ended else owner.described()


def _status(options: Workflow, plans: Plans, name: str) -> StageStatus:
    try:
        claim = plans.claim(name)
    except VolprocError as error:
        return StageStatus(name, "blocked", str(error))
    if claim.state == "done":
        return StageStatus(name, "done", _edited(claim))
    if claim.state == "begun":
        return StageStatus(name, "begun", ", ".join(_progress(options, plans, name)))
    if claim.state == "absent":
        return StageStatus(name, "missing")
    told = f"it was made by `{claim.found[0].maker}`" if claim.state == "foreign" else claim.why
    return StageStatus(name, "stale", "; ".join(filter(None, (str(told), _edited(claim)))))


def _edited(claim: Claim) -> str:
    return f"edited since: {', '.join(claim.edited)}" if claim.edited else ""


def _progress(options: Workflow, plans: Plans, name: str) -> Iterator[str]:
    for step in plans.steps(name):
        done = blocks_done(options, step)
        if 0 < done < len(step.blocks):
            yield f"{step.name}: {done:,} of {len(step.blocks):,} blocks"


def blocks_done(options: Workflow, step: Step) -> int:
    """How many blocks of a step are recorded in the run's folder, or by the step itself."""
    recorded = recorded_blocks(own(options, "ledger"), step.name, digest=step.digest)
    return max(step.recorded, len(recorded))

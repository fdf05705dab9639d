"""A run at work: every stage planned and admitted first, then run one after the other."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from volproc.config.devices import planned_for
from volproc.engine.clusters import engine_of
from volproc.engine.events import JsonLines, Watcher
from volproc.engine.memory import human
from volproc.engine.run import Runner
from volproc.errors import ConfigError, OutputError
from volproc.faults import MALFORMED
from volproc.lease import holding, left_by_dead
from volproc.retry import patient
from volproc.stages.claims import Claim, remove_made, require_apart, require_free
from volproc.stages.description import Stage
from volproc.volume.access import exists, local_path
from volproc.volume.file_io import read_file, write_file
from volproc.workflow.filled import LOG, SETTINGS, own
from volproc.workflow.finished import note_finished
from volproc.workflow.plans import Plans, chosen
from volproc.workflow.summary import summary
from volproc.workflow.workflow_file import Workflow

LEFT_BY_KILLED = (
    *("*.partial", "ledger/*.partial", "*.tables/*.partial", "*.parts/*.partial"),
    "*.volproc/**/*.partial",
)
MICROGRAPHS, OTHERS = 0.3, 0.001
"""Of raw bytes, the least that compression leaves: of micrographs, and of what is made of them."""


def run_stages(
    options: Workflow,
    *,
    stages: Sequence[str],
    redo: Sequence[str],
    watchers: Sequence[Watcher],
    until: float,
) -> None:
    """Run the stages of a workflow whose options are filled; no new blocks from `until` on."""
    began = time.monotonic()
    wanted = chosen(options, stages)
    names = [stage.name for stage in wanted]
    unknown = sorted(set(redo) - set(names))
    if unknown:
        raise ConfigError(
            f"--redo {unknown[0]}: no such stage is to run; those that are: {', '.join(names)}"
        )
    ahead = Plans(options, frozenset(names))
    claims = {name: ahead.claim(name) for name in names if name != "report"}
    _admit(options, claims, redo)
    ledger = own(options, "ledger")
    with (
        planned_for(options.cluster.gpus_elsewhere),
        holding(ledger),
        engine_of(options.cluster) as engine,
    ):
        _begin(options, stages)
        log = JsonLines(own(options, LOG))
        expected = [step for name in claims for step in ahead.of(name).steps]
        follows = engine.expect(expected)
        runner = Runner(engine, ledger, (*watchers, log, follows), own=True, until=until)
        _tell(claims, redo, runner)
        for name in redo:
            _redo(ahead, name, runner)
        _run(options, wanted, runner)
        found = summary(options, names, time.monotonic() - began)
        note_finished(options, stages, _places(options, names), found)


def _admit(options: Workflow, claims: dict[str, Claim], redo: Sequence[str]) -> None:
    """Refuse before the first byte: what cannot be written, and what does not fit on the disk."""
    for name, claim in claims.items():
        require_apart(claim)
        require_free(claim, overwrite=name in redo, own=_is_own(options, claim))
    folder = local_path(own(options, ""))
    if folder:
        _require_room(options, claims, _free_bytes(folder))


def _require_room(options: Workflow, claims: dict[str, Claim], free: int) -> None:
    needed = sum(_bytes_of(claim) for claim in claims.values())
    if needed > free:
        raise OutputError(
            f"{options.run.folder} will take {human(needed)} at the least, and {human(free)} are "
            "free on that disk; free some space, or choose another [run] folder"
        )


@patient
def _free_bytes(folder: Path) -> int:
    """On the disk of a folder, which need not be there yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _bytes_of(claim: Claim) -> int:
    """The least that the outputs of a stage will take, besides what is there."""
    if claim.state in ("done", "begun"):
        return 0
    share = MICROGRAPHS if claim.recipe.stage == "ingest" else OTHERS
    return sum(int(info.nbytes * share) for info in claim.volumes if info.kind == "image")


def _is_own(options: Workflow, claim: Claim) -> bool:
    folder = own(options, "")
    return all(url.startswith(folder) for url in claim.outputs)


def _tell(claims: dict[str, Claim], redo: Sequence[str], runner: Runner) -> None:
    """Say what will be remade, and why, a line each."""
    for name, claim in claims.items():
        if name in redo:
            runner.note(f"{name} is remade, as --redo says")
        elif claim.state == "other":
            runner.note(f"{name} is remade: {claim.why}")


def _redo(plans: Plans, name: str, runner: Runner) -> None:
    for step in plans.of(name).steps:
        runner.forget(step.name)
    remove_made(plans.claim(name))


def _run(options: Workflow, wanted: Sequence[Stage], runner: Runner) -> None:
    with runner.noting_bugs():
        for stage in wanted:
            stage.run(Plans(options).of(stage.name), runner)


def _places(options: Workflow, names: Sequence[str]) -> list[str]:
    """Everything that a finished run read and wrote."""
    plans = Plans(options)
    claims = [plans.claim(name) for name in names if name != "report"]
    places = [url for one in claims for url in (*one.inputs, *one.outputs, *one.siblings)]
    return [*places, own(options, "report.html"), own(options, "report.json")]


@patient
def _begin(options: Workflow, stages: Sequence[str]) -> None:
    """Put the options into the run's folder, and remove half files of a killed run.

    Only a folder of this machine has those: object stores take objects whole.
    """
    settings = options.model_dump_json(indent=1, include=_stated(options, stages))
    write_file(own(options, SETTINGS), settings.encode())
    folder = local_path(own(options, ""))
    for pattern in LEFT_BY_KILLED if folder and left_by_dead() else ():
        for path in folder.glob(pattern) if folder else ():
            path.unlink(missing_ok=True)


def _stated(options: Workflow, stages: Sequence[str]) -> set[str] | None:
    """Tables that the run's folder is to state, None for all: where some stages are run by
    themselves, those and what it states already, so that a stage that is newer than the run shows.
    """
    place = own(options, SETTINGS)
    with suppress(*MALFORMED):
        if stages and exists(place):
            return {*json.loads(read_file(place)), *stages}
    return None

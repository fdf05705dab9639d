"""Whether a run has nothing to do: a note of what it was finished with, and what is there now.

Told by sizes and dates alone, so that a finished run says so without planning anything (planning
imports torch). Where the note does not fit, everything is planned, and what is done is still found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import volproc
from volproc.engine.ledger import digest
from volproc.errors import VolprocError
from volproc.faults import MALFORMED
from volproc.retry import patient
from volproc.volume.access import canonical, exists, local_path
from volproc.volume.file_io import read_file, write_file
from volproc.volume.fingerprint import listing
from volproc.workflow.filled import own
from volproc.workflow.registry import registered
from volproc.workflow.workflow_file import Workflow

NOTE = "ledger/finished.json"


def nothing_to_do(options: Workflow, stages: Sequence[str]) -> bool:
    """Whether a run of these options and stages came to its end, and nothing changed since."""
    place = own(options, NOTE)
    try:
        told = json.loads(read_file(place)) if exists(place) else {}
        if told.get("key") != _key(options, stages):
            return False
        return all(_stamp(url) == stamp for url, stamp in told["files"].items())
    except (*MALFORMED, OSError, VolprocError):
        return False


def found_by(options: Workflow) -> tuple[str, ...]:
    """What the last run that came to its end found, in a few lines."""
    place = own(options, NOTE)
    try:
        return tuple(map(str, json.loads(read_file(place))["found"])) if exists(place) else ()
    except MALFORMED:  # of a note that is damaged nothing is told
        return ()


def note_finished(
    options: Workflow, stages: Sequence[str], urls: Iterable[str], found: Sequence[str]
) -> None:
    """Note what lies at `urls` now that everything is made, and what was `found` in words."""
    files = {url: _stamp(url) for url in sorted(set(map(canonical, urls)))}
    told = {"key": _key(options, stages), "files": files, "found": found}
    write_file(own(options, NOTE), json.dumps(told, indent=1).encode())


def _key(options: Workflow, stages: Sequence[str]) -> str:
    """The options, and the program: another one plans again, though it may find all done."""
    root = Path(volproc.__file__).parent
    program = sorted((str(file.relative_to(root)), _date(file)) for file in root.rglob("*.py"))
    described = options.model_dump(mode="json", exclude={"cluster"})
    has = [stage.name for stage in registered().values() if options.has(stage)]  # fix: with edits
    return digest(described, has, sorted(stages), program)


@patient
def _stamp(url: str) -> str:
    """Names, sizes and dates of what lies at `url`; "" where there is nothing."""
    here = local_path(url)
    if here and here.is_file():
        return f"{here.stat().st_size} {_date(here)}"
    return listing(url) if exists(url) else ""


def _date(file: Path) -> int:
    return os.stat(file).st_mtime_ns

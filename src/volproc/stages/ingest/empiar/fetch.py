"""Plan and run of `fetch`: an entry's files into a folder."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from volproc.engine.memory import human
from volproc.errors import IngestError
from volproc.stages.ingest.empiar.download import Watch
from volproc.stages.ingest.empiar.download_ahead import fetch_files
from volproc.stages.ingest.empiar.entry import Entry, describe
from volproc.stages.ingest.empiar.listing import listing, matches
from volproc.stages.ingest.empiar.record import Record
from volproc.stages.ingest.empiar.remote_file import RemoteFile
from volproc.stages.ingest.options import FetchOptions

FETCH = FetchOptions()
BYTES_PER_S = 1.5e6
"""Of one https connection to EMPIAR, as people measured it; your network may say otherwise."""


@dataclass(frozen=True)
class Group:
    """Files of one pattern, or of one folder if there are no patterns."""

    name: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Estimate:
    """What is still to be downloaded, and whether it fits."""

    files: int
    bytes: int
    exact: bool
    """Whether every size is known to the byte."""
    here_bytes: int
    """Of `bytes`, what is in the folder already."""
    seconds: float
    """For the rest, with every connection at BYTES_PER_S."""
    free_bytes: int
    """Left on the folder's disk."""
    groups: tuple[Group, ...]

    @property
    def fits(self) -> bool:
        """Whether the rest fits on the disk."""
        return self.bytes - self.here_bytes <= self.free_bytes


@dataclass(frozen=True)
class FetchPlan:
    """What an entry is, which of its files are requested, and what their download would take.

    `changed` are files fetched before that now differ on the server: they are fetched again.
    """

    entry: Entry
    folder: str
    options: FetchOptions
    files: tuple[RemoteFile, ...]
    estimate: Estimate
    changed: tuple[str, ...]


def plan_fetch(
    entry: str, folder: str, options: FetchOptions = FETCH, *, exact: bool = True
) -> FetchPlan:
    """The files of an accession that match `options.pattern`. Writes nothing.

    Over https the exact size of each file is a request of its own: not `exact` takes the rounded
    sizes of the archive's pages. IngestError, one line, for an unknown entry or no match.
    """
    described = describe(entry, options)
    files = listing(entry, options, exact=exact)
    expected, changed = estimate(files, folder, options), Record(folder).changed(files)
    return FetchPlan(described, folder, options, files, expected, changed)


def run_fetch(plan: FetchPlan, *, watch: Watch | None = None) -> tuple[RemoteFile, ...]:
    """The files as they are in the folder, each at its path in the entry.

    IngestError before the first byte if the disk is too small; see `fetch_files` for the others.
    """
    if not plan.estimate.fits:
        missing = plan.estimate.bytes - plan.estimate.here_bytes
        raise IngestError(
            f"{plan.folder} has {human(plan.estimate.free_bytes)} free, {human(missing)} are still "
            "to be downloaded; free some space, or take fewer files with --pattern"
        )
    return fetch_files(plan.files, plan.folder, plan.options, watch=watch)


def estimate(files: Sequence[RemoteFile], folder: str, options: FetchOptions) -> Estimate:
    """What downloading `files` to `folder` would take. Writes nothing, sends no request."""
    record = Record(folder)
    total = sum(file.bytes or 0 for file in files)
    here = sum(came.bytes or 0 for file in files if (came := record.complete(file)))
    groups: dict[str, list[int]] = defaultdict(list)
    for file in files:
        groups[_group(file.path, options.pattern)].append(file.bytes or 0)
    return Estimate(
        files=len(files),
        bytes=total,
        exact=all(file.bytes is not None and file.slack == 0 for file in files),
        here_bytes=here,
        seconds=(total - here) / (BYTES_PER_S * min(options.connections, len(files) or 1)),
        free_bytes=_free(folder),
        groups=tuple(Group(name, len(sizes), sum(sizes)) for name, sizes in sorted(groups.items())),
    )


def _group(path: str, pattern: Sequence[str]) -> str:
    first = next((one for one in pattern if matches(path, [one])), None)
    return first or path.rpartition("/")[0] or "."


def _free(folder: str) -> int:
    place = os.path.abspath(folder)
    while not os.path.exists(place):
        place = os.path.dirname(place)
    return shutil.disk_usage(place).free

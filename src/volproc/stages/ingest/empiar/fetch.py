"""Plan and run of `fetch`: an entry's files into a folder."""

from __future__ import annotations

from dataclasses import dataclass

from volproc.engine.memory import human
from volproc.errors import IngestError
from volproc.stages.ingest.empiar.download import Watch, fetch_files
from volproc.stages.ingest.empiar.entry import Entry, describe
from volproc.stages.ingest.empiar.estimate import Estimate, estimate
from volproc.stages.ingest.empiar.listing import listing
from volproc.stages.ingest.empiar.record import Fetched
from volproc.stages.ingest.empiar.retries import RemoteFile
from volproc.stages.ingest.options import FetchOptions

FETCH = FetchOptions()


@dataclass(frozen=True)
class FetchPlan:
    """What an entry is, which of its files are wanted, and what bringing them would take.

    `changed` are files fetched before that now differ on the server: they are fetched anew.
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
    changed = Fetched(folder).changed(files)
    return FetchPlan(
        described, folder, options, files, estimate(files, folder, options), tuple(changed)
    )


def run_fetch(plan: FetchPlan, *, watch: Watch | None = None) -> tuple[RemoteFile, ...]:
    """The files as they lie in the folder, each at its path in the entry.

    IngestError before the first byte if the disk is too small; see `fetch_files` for the others.
    """
    if not plan.estimate.fits:
        missing = plan.estimate.bytes - plan.estimate.here_bytes
        raise IngestError(
            f"{plan.folder} has {human(plan.estimate.free_bytes)} free, {human(missing)} are still "
            "to come; free some space, or take fewer files with --pattern"
        )
    return fetch_files(plan.files, plan.folder, plan.options, watch=watch)

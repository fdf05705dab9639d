"""An entry ingested while it arrives: blocks wait for their files, which may go thereafter."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from volproc.engine.events import BlockDone, Event
from volproc.engine.protocol import Engine, Outcomes, Step, Task
from volproc.engine.run import Runner
from volproc.errors import IngestError
from volproc.grid.blocks import Block
from volproc.stages.ingest.empiar.download import fetch_files
from volproc.stages.ingest.empiar.download_ahead import Arrivals
from volproc.stages.ingest.empiar.listing import listing
from volproc.stages.ingest.empiar.retries import RemoteFile
from volproc.stages.ingest.formats.registry import (
    FORMATS,
    opener_of,
)
from volproc.stages.ingest.grey.grey_range import SampleGreys
from volproc.stages.ingest.options import (
    FetchOptions,
    IngestOptions,
)
from volproc.stages.ingest.series.series import (
    Series,
    open_series,
)
from volproc.stages.ingest.tasks import (
    CopyBlock,
    MeasureSlices,
)
from volproc.stages.ingest.voxel_source import Source


@dataclass(frozen=True)
class Delivery:
    """Where the files of a source come from, and whether they stay once they are converted."""

    files: tuple[RemoteFile, ...]
    folder: str
    options: FetchOptions
    keep: bool
    planes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """First and one past the last plane of each file."""

    def place(self, file: RemoteFile) -> str:
        """Where the file will lie."""
        return os.path.join(self.folder, *file.path.split("/"))


def open_entry(
    entry: str, out: str, options: IngestOptions, fetch: FetchOptions
) -> tuple[Series, Delivery]:
    """The one image in an entry, of which up to three files are fetched now for their headers.

    IngestError, one line, if the entry holds several series (`fetch.pattern` chooses), or if
    files would have to be kept for what the options ask.
    """
    if not options.keep and (options.match_slices or options.unequal == "pad"):
        raise IngestError(
            f"{entry}: match_slices and unequal = pad look at all files before the first is "
            "converted; keep them (--keep)"
        )
    files = _one_series(entry, listing(entry, fetch))
    delivery = Delivery(files, _folder(out, fetch), fetch, options.keep)
    by_place = {delivery.place(file): file for file in files}

    def opened(url: str) -> Source:
        fetch_files([by_place[url]], delivery.folder, fetch)
        return opener_of(url, options)(url)

    stamps = {place: file.stamp for place, file in by_place.items()}
    source = open_series(stamps, opened, options, most_headers=0)
    identity = tuple(stamps[url] for url in source.urls)
    planes = {by_place[url].path: span for url, span in source.spans().items()}
    source = replace(source, opener=opener_of(source.urls[0], options), identity=identity)
    return source, replace(delivery, planes=planes)


@contextmanager
def delivered(delivery: Delivery, runner: Runner) -> Iterator[Runner]:
    """A runner whose blocks wait for their files, which are fetched in the order of the blocks.

    Unless they are to be kept, files are deleted once every block they are part of is recorded.
    """
    with Arrivals(delivery.files, delivery.folder, delivery.options) as arrivals:
        gate = Gate(runner.engine, arrivals, delivery.planes, keep=delivery.keep)
        yield replace(runner, engine=gate, watchers=(gate.heard, *runner.watchers))


class Gate:
    """An engine that hands a block on when its files have come.

    `planes` has the first and one past the last plane of each file. Blocks come in the order of
    their planes, so a file is done with when no block before its end is waited for any more.
    """

    def __init__(
        self,
        engine: Engine,
        arrivals: Arrivals,
        planes: dict[str, tuple[int, int]],
        *,
        keep: bool,
    ) -> None:
        self.worker_bytes, self.threads = engine.worker_bytes, engine.threads
        self._engine = engine
        self._arrivals = arrivals
        self._planes = planes
        self._keep = keep
        self._open: dict[int, int] = {}  # the first plane of each block that is not recorded
        self._dropped = 0

    def for_step(self, step: Step) -> Gate:
        """This one."""
        return self

    def map(self, task: Task, blocks: Iterable[Block]) -> Outcomes:
        """As the engine inside does; blocks of tasks that read files wait for them."""
        if not isinstance(task, CopyBlock | MeasureSlices | SampleGreys):
            yield from self._engine.map(task, blocks)
            return
        converting = isinstance(task, CopyBlock)
        yield from self._engine.map(task, self._waiting(blocks, converting=converting))
        if converting:
            end = max(stop for _, stop in self._planes.values())
            self._drop_before(min(self._open.values(), default=end))

    def heard(self, event: Event) -> None:
        """A block is recorded."""
        if isinstance(event, BlockDone):
            self._open.pop(event.block, None)

    def _waiting(self, blocks: Iterable[Block], *, converting: bool) -> Iterator[Block]:
        for block in blocks:
            first, stop = block.core.start[0], block.core.stop[0]
            self._arrivals.want(self._files(first, stop + 2 * (stop - first)))
            self._arrivals.wait(self._files(first, stop))
            if converting:
                self._open[block.index] = first
                self._drop_before(min(self._open.values()))
            yield block

    def _files(self, first: int, stop: int) -> list[str]:
        """Files with planes from `first` to `stop`, in their order."""
        return [p for p, (begin, end) in self._planes.items() if begin < stop and end > first]

    def _drop_before(self, plane: int) -> None:
        if self._keep or plane <= self._dropped:
            return
        self._arrivals.drop([p for p, (_, end) in self._planes.items() if end <= plane])
        self._dropped = plane


def _one_series(entry: str, files: Iterable[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The image files of an entry, if they are one series."""
    found: dict[str, list[RemoteFile]] = defaultdict(list)
    for file in files:
        known = next((one.name for one in FORMATS if one.named(file.path)), None)
        if known:
            found[f"{os.path.dirname(file.path)}/*{os.path.splitext(file.path)[1]}"].append(file)
    if not found:
        raise IngestError(
            f"{entry} has no image files of a format that is read among those that match; "
            "see what it has with `volproc fetch --dry-run`"
        )
    if len(found) > 1:
        listed = ", ".join(f"{name} ({len(them)} files)" for name, them in found.items())
        raise IngestError(
            f"{entry} holds several series: {listed}; choose one with --pattern, or [fetch] pattern"
        )
    return tuple(next(iter(found.values())))


def _folder(out: str, fetch: FetchOptions) -> str:
    if fetch.folder:
        return fetch.folder
    if "://" in out:
        raise IngestError(
            f"the files of an entry need a local folder, and {out} is none; name one that all "
            "workers see with [fetch] folder"
        )
    return f"{out.rstrip('/')}.volproc/files"

"""An entry ingested while it is downloaded: blocks wait for their files, which may then go."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from volproc.engine.events import BlockDone, Event, Watcher
from volproc.engine.protocol import Engine, Outcomes, Step
from volproc.engine.run import Runner
from volproc.errors import IngestError
from volproc.grid.blocks import Block
from volproc.stages.ingest.empiar.download_ahead import DownloadAhead, fetch_files
from volproc.stages.ingest.empiar.listing import listing
from volproc.stages.ingest.empiar.remote_file import RemoteFile
from volproc.stages.ingest.formats.file_formats import FORMATS, opener_of
from volproc.stages.ingest.options import FetchOptions, IngestOptions
from volproc.stages.ingest.series.series import Series, open_series
from volproc.stages.ingest.tasks import CopyBlock, MeasureSlices, SampleGreys
from volproc.stages.ingest.voxel_source import Source


@dataclass(frozen=True)
class EntryFiles:
    """Where the files of a source come from, and whether they stay once they are converted."""

    files: tuple[RemoteFile, ...]
    folder: str
    options: FetchOptions
    keep: bool
    planes: dict[str, tuple[int, int]]
    """First and one past the last plane of each file."""

    def within(self, first: int, stop: int) -> EntryFiles:
        """The same for planes `first` to `stop` only, counted from `first`."""
        planes = {
            path: (a - first, b - first)
            for path, (a, b) in self.planes.items()
            if a < stop and b > first
        }
        return replace(self, planes=planes)


def open_entry(
    entry: str, out: str, options: IngestOptions, fetch: FetchOptions
) -> tuple[Series, EntryFiles]:
    """The one image in an entry, of which up to three files are fetched now for their headers.

    IngestError, one line, if the entry holds several series (`fetch.pattern` chooses), or if
    files would have to be kept for what the options request.
    """
    if not options.keep and (options.match_slices or options.unequal == "pad"):
        raise IngestError(
            f"{entry}: match_slices and unequal = pad look at all files before the first is "
            "converted; keep them (--keep)"
        )
    files = _one_series(entry, listing(entry, fetch))
    folder = _folder(out, fetch)
    by_place = {os.path.join(folder, *file.path.split("/")): file for file in files}

    def fetched(url: str) -> Source:
        fetch_files([by_place[url]], folder, fetch)
        return opener_of(url, options)(url)

    stamps = {place: file.stamp for place, file in by_place.items()}
    source = open_series(stamps, fetched, options, most_headers=0)
    identity = tuple(stamps[url] for url in source.urls)
    planes = {by_place[url].path: span for url, span in source.spans().items()}
    source = replace(source, opener=opener_of(source.urls[0], options), identity=identity)
    return source, EntryFiles(files, folder, fetch, options.keep, planes)


@contextmanager
def downloading(entry: EntryFiles, runner: Runner) -> Iterator[Runner]:
    """A runner whose blocks wait for their files, which are fetched in the order of the blocks.

    Unless they are to be kept, files are deleted once every block they are part of is recorded.
    """
    with DownloadAhead(entry.files, entry.folder, entry.options) as downloads:
        engine = WaitingEngine(runner.engine, downloads, entry, is_over=runner.is_over)
        yield replace(runner, engine=engine, watchers=(engine.recorded, *runner.watchers))


class WaitingEngine:
    """An engine that hands a block on once its files are there.

    Blocks come in the order of their planes, so a file is no longer needed when no block before
    its end is waited for.
    """

    def __init__(
        self,
        engine: Engine,
        downloads: DownloadAhead,
        entry: EntryFiles,
        *,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_over` says whether the time for new blocks is over."""
        self._is_over = is_over
        self.worker_bytes, self.threads = engine.worker_bytes, engine.threads
        self._engine = engine
        self._downloads = downloads
        self._entry = entry
        self._open: dict[int, int] = {}  # the first plane of each block that is not recorded
        self._dropped = 0
        self._handed = 0  # one past the last plane that was handed on

    def for_step(self, step: Step) -> WaitingEngine:
        """This one."""
        return self

    def expect(self, steps: Sequence[Step]) -> Watcher:
        """As the engine inside does."""
        return self._engine.expect(steps)

    def map(self, step: Step, blocks: Iterable[Block]) -> Outcomes:
        """As the engine inside does; blocks of tasks that read files wait for them."""
        if not isinstance(step.task, CopyBlock | MeasureSlices | SampleGreys):
            yield from self._engine.map(step, blocks)
            return
        converting = isinstance(step.task, CopyBlock)
        yield from self._engine.map(step, self._waiting(blocks, converting=converting))
        if converting:
            every = max(stop for _, stop in self._entry.planes.values())
            end = self._handed if self._is_over() else every  # files of blocks to come stay
            self._drop_before(min(self._open.values(), default=end))

    def recorded(self, event: Event) -> None:
        """A watcher: of blocks that are recorded, the files may go."""
        if isinstance(event, BlockDone):
            self._open.pop(event.block, None)

    def _waiting(self, blocks: Iterable[Block], *, converting: bool) -> Iterator[Block]:
        for block in blocks:
            first, stop = block.core.start[0], block.core.stop[0]
            # the files of the next two blocks come meanwhile
            self._downloads.request(self._paths(first, stop + 2 * (stop - first)))
            self._downloads.wait(self._paths(first, stop))
            if converting:
                self._open[block.index], self._handed = first, stop
                self._drop_before(min(self._open.values()))
            yield block

    def _paths(self, first: int, stop: int) -> list[str]:
        """Files with planes from `first` to `stop`, in their order."""
        planes = self._entry.planes.items()
        return [path for path, (begin, end) in planes if begin < stop and end > first]

    def _drop_before(self, plane: int) -> None:
        if self._entry.keep or plane <= self._dropped:
            return
        self._downloads.drop([p for p, (_, end) in self._entry.planes.items() if end <= plane])
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

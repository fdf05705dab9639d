"""Files that come in the background while others are worked on, and go once they are done with."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import Self

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.download import (
    Fetch,
    Tally,
    Watch,
)
from volproc.stages.ingest.empiar.record import (
    Fetched,
    writing,
)
from volproc.stages.ingest.empiar.retries import (
    RemoteFile,
    Stopped,
)
from volproc.stages.ingest.empiar.servers import Archive
from volproc.stages.ingest.options import FetchOptions


class Arrivals:
    """Brings `files` to `folder` in the order in which they are wanted.

    At most `ahead` files are there or under way that nobody has dropped, or as many as one waits
    for. A context manager: at its end transfers stop, and what came stays. All methods may be
    called from any thread.

        with Arrivals(files, folder, options, ahead=64) as arrivals:
            arrivals.want(paths)          # returns at once
            for block in blocks:
                arrivals.wait(block.paths)
                ...                       # read them, write the block
                arrivals.drop(block.paths)
    """

    def __init__(
        self,
        files: Sequence[RemoteFile],
        folder: str,
        options: FetchOptions,
        *,
        ahead: int | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._files = {file.path: file for file in files}
        self._ahead = ahead
        self._archive = Archive(options)
        self._fetched = Fetched(folder)
        self._fetch = Fetch(self._archive, self._fetched, Tally(files, watch))
        self._change = threading.Condition()
        self._queue: OrderedDict[str, None] = OrderedDict()
        self._waited: OrderedDict[str, None] = OrderedDict()  # before the queue, whatever the room
        self._taken: set[str] = set()  # under way or there, and not dropped
        self._came: dict[str, RemoteFile] = {}
        self._failed: dict[str, BaseException] = {}
        self._closing = False
        self._held = ExitStack()
        self._threads = [
            threading.Thread(target=self._work, name=f"fetch {number}", daemon=True)
            for number in range(options.connections)
        ]

    def __enter__(self) -> Self:
        self._held.enter_context(self._archive)
        self._held.enter_context(self._fetched)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._archive.patience.stop()
        for thread in self._threads:
            thread.join()
        self._held.close()

    def want(self, paths: Iterable[str]) -> None:
        """Fetch these too, after those already wanted; one that had failed is tried again."""
        with self._change:
            for path in paths:
                self._known(path)
                self._failed.pop(path, None)
                if path not in self._taken:
                    self._queue[path] = None
            self._change.notify_all()

    def wait(self, paths: Iterable[str]) -> tuple[RemoteFile, ...]:
        """The files, once all of them are there; they overtake what nobody waits for.

        IngestError, one line, as soon as one of them has failed.
        """
        wanted = tuple(paths)
        with self._change:
            for path in wanted:
                self._known(path)
                if path not in self._taken and path not in self._failed:
                    self._waited[path] = None
            self._change.notify_all()
            self._change.wait_for(lambda: self._over(wanted))
            for path in wanted:
                if error := self._failed.get(path):
                    raise error
            if any(path not in self._came for path in wanted):
                raise IngestError("the transfer was ended; run the same command again")
            return tuple(self._came[path] for path in wanted)

    def drop(self, paths: Iterable[str]) -> None:
        """Delete these files and make room for others. One that is under way stays and counts."""
        with self._change:
            for path in paths:
                file = self._known(path)
                self._queue.pop(path, None)
                if path in self._came or path not in self._taken:
                    self._came.pop(path, None)
                    self._taken.discard(path)
                    with writing(self._fetched.place(file)), suppress(FileNotFoundError):
                        os.remove(self._fetched.place(file))
            self._change.notify_all()

    def _known(self, path: str) -> RemoteFile:
        if path not in self._files:
            raise IngestError(f"{path} is not among the {len(self._files)} files of this transfer")
        return self._files[path]

    def _over(self, paths: Sequence[str]) -> bool:
        here = all(path in self._came for path in paths)
        return here or self._closing or any(path in self._failed for path in paths)

    def _work(self) -> None:
        while (path := self._next()) is not None:
            try:
                came = self._fetch(self._files[path])
            except Stopped:
                return
            except BaseException as error:  # whoever waits for the file hears of it
                with self._change:
                    self._failed[path] = error
                    self._taken.discard(path)
                    self._change.notify_all()
            else:
                with self._change:
                    self._came[path] = came
                    self._change.notify_all()

    def _next(self) -> str | None:
        with self._change:
            while not self._closing:
                room = self._ahead is None or len(self._taken) < self._ahead
                if queue := self._waited or (self._queue if room else None):
                    path = next(iter(queue))
                    self._waited.pop(path, None)
                    self._queue.pop(path, None)
                    self._taken.add(path)
                    return path
                self._change.wait()
            return None

"""Files that are downloaded in the background while others are worked on."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import Self

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.download import Download, Tally, Watch
from volproc.stages.ingest.empiar.record import FolderError, Record, writing
from volproc.stages.ingest.empiar.remote_file import RemoteFile
from volproc.stages.ingest.empiar.retries import Stopped
from volproc.stages.ingest.empiar.servers import Servers
from volproc.stages.ingest.options import FetchOptions


def fetch_files(
    files: Sequence[RemoteFile],
    folder: str,
    options: FetchOptions,
    *,
    watch: Watch | None = None,
) -> tuple[RemoteFile, ...]:
    """The files as they now are in `folder`, each at its path; complete ones are left as they are.

    `options.connections` at once. One that breaks off continues from there, after growing pauses.
    If some fail for good the others are still downloaded, then IngestError names the first; what
    has been downloaded of it stays as PATH.partial, and another call continues. `watch` is called
    from several threads, one at a time.
    """
    came: list[RemoteFile] = []
    failed: list[IngestError] = []
    with DownloadAhead(files, folder, options, watch=watch) as downloads:
        downloads.request(file.path for file in files)
        for file in files:
            try:
                came += downloads.wait([file.path])
            except FolderError:
                raise
            except IngestError as error:
                failed.append(error)
    if failed:
        more = f" ({len(failed)} of {len(files)} files failed)" if len(failed) > 1 else ""
        raise IngestError(f"{failed[0]}{more}") from failed[0]
    return tuple(came)


class DownloadAhead:
    """Downloads `files` to `folder` in the order in which they are requested.

    At most `ahead` files are there or under way that nobody has dropped, or as many as one waits
    for. A context manager: at its end transfers stop, and complete files stay. All methods may be
    called from any thread.

        with DownloadAhead(files, folder, options, ahead=64) as downloads:
            downloads.request(paths)      # returns at once
            for block in blocks:
                downloads.wait(block.paths)
                ...                       # read them, write the block
                downloads.drop(block.paths)
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
        self._servers = Servers(options)
        self._record = Record(folder)
        self._tally = Tally(files, watch)
        self._change = threading.Condition()
        self._queue: OrderedDict[str, None] = OrderedDict()
        self._waited: OrderedDict[str, None] = OrderedDict()  # before the queue, whatever the room
        self._taken: set[str] = set()  # under way or there, and not dropped
        self._came: dict[str, RemoteFile] = {}
        self._failed: dict[str, BaseException] = {}
        self._fatal: BaseException | None = None  # no other file would fare better
        self._closing = False
        self._open = ExitStack()
        self._threads = [
            threading.Thread(target=self._work, name=f"fetch {number}", daemon=True)
            for number in range(options.connections)
        ]

    def __enter__(self) -> Self:
        self._open.enter_context(self._servers)
        self._open.enter_context(self._record)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._servers.retries.stop()
        for thread in self._threads:
            thread.join()
        self._open.close()

    def request(self, paths: Iterable[str]) -> None:
        """Download these too, after those already requested; failed ones are tried again."""
        with self._change:
            self._fatal = None
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
        paths = tuple(paths)
        with self._change:
            for path in paths:
                self._known(path)
                if path not in self._taken and path not in self._failed:
                    self._waited[path] = None
            self._change.notify_all()
            self._change.wait_for(lambda: self._over(paths))
            errors = (self._failed.get(path) for path in paths)
            if error := next(filter(None, errors), self._fatal):
                raise error
            if any(path not in self._came for path in paths):
                raise IngestError("the transfer was ended; run the same command again")
            return tuple(self._came[path] for path in paths)

    def drop(self, paths: Iterable[str]) -> None:
        """Delete these files and make room for others. One that is under way is left and counts."""
        with self._change:
            for path in paths:
                file = self._known(path)
                self._queue.pop(path, None)
                if path in self._came or path not in self._taken:
                    self._came.pop(path, None)
                    self._taken.discard(path)
                    with writing(self._record.place(file)), suppress(FileNotFoundError):
                        os.remove(self._record.place(file))
            self._change.notify_all()

    def _known(self, path: str) -> RemoteFile:
        if path not in self._files:
            raise IngestError(f"{path} is not among the {len(self._files)} files of this transfer")
        return self._files[path]

    def _over(self, paths: Sequence[str]) -> bool:
        here = all(path in self._came for path in paths)
        failed = self._fatal is not None or any(path in self._failed for path in paths)
        return here or failed or self._closing

    def _work(self) -> None:
        while (path := self._next()) is not None:
            try:
                came = Download(self._files[path], self._servers, self._record, self._tally).run()
            except Stopped:
                return
            except BaseException as error:  # raised for whoever waits for the file
                with self._change:
                    self._failed[path] = error
                    self._taken.discard(path)
                    if isinstance(error, FolderError) or not isinstance(error, IngestError):
                        self._fatal = error
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

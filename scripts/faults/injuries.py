"""What goes wrong inside a command's process. Each returns a function that arms it.

Local files are reached through Python's audit events, whoever opens them; objects through the
methods of s3fs that all its callers use. A *change* is what volproc is about to make visible: it
asks for its lease right before each.
"""

import errno
import os
import random
import signal
import sys
import time
from pathlib import Path

LOCAL_KINDS = {
    "os.rename": "write",
    "os.mkdir": "write",
    "os.remove": "remove",
    "os.rmdir": "remove",
    "os.truncate": "write",
    "os.scandir": "list",
    "os.listdir": "list",
}
S3_KINDS = {
    "_cat_file": "read",
    "_pipe_file": "write",
    "_rm_file": "remove",
    "_lsdir": "list",
}


def at_change(number, do):
    """`do()` before the change of that number."""
    count = [0]

    def told():
        count[0] += 1
        if count[0] == number:
            do()

    return every_change(told)


def every_change(told):
    """`told()` before every change."""

    def arm():
        from volproc import lease

        require = lease.require

        def asked():
            told()
            require()

        lease.require = asked

    return arm


def count_changes(path):
    """Write down in the file at `path` how many changes the command has made."""
    count = [0]

    def told():
        count[0] += 1
        path.write_text(str(count[0]))

    return every_change(told)


def die():
    """SIGKILL by its own hand."""
    os.kill(os.getpid(), signal.SIGKILL)


def terminate():
    """SIGTERM by its own hand, as a batch system's."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)  # it is delivered to the main thread between two of its steps


def pause(folder):
    """Say that it is here, and wait for `go`."""

    def do():
        Path(folder, "paused").touch()
        while not Path(folder, "go").exists():
            time.sleep(0.005)

    return do


def every_file(below, told):
    """`told(kind, path)` before a file or an object below one of those places is touched."""

    def arm():
        if "://" in below[0]:
            _every_object(tuple(root.partition("://")[2] for root in below), told)
            return

        def watch(event, arguments):
            kind = LOCAL_KINDS.get(event)
            if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
                flags = arguments[2] or 0
                kind = "write" if flags & (os.O_WRONLY | os.O_RDWR) else "read"
            if not kind or not isinstance(arguments[0], (str, os.PathLike)):
                return
            path = os.path.abspath(arguments[0])
            if path.startswith(below):
                told(kind, path)

        sys.addaudithook(watch)

    return arm


def _every_object(roots, told):
    from s3fs import S3FileSystem

    def wrapped(real, kind):
        async def call(self, path, *arguments, **named):
            plain = path.removeprefix("s3://")
            if plain.startswith(roots):
                told(kind, plain)
            return await real(self, path, *arguments, **named)

        return call

    for name, kind in S3_KINDS.items():
        setattr(S3FileSystem, name, wrapped(getattr(S3FileSystem, name), kind))


def flaky(below, kind, rate, seed):
    """That share of the calls of a kind fails once, as a bad cable or a busy server makes them."""
    rng = random.Random(seed)

    def told(found, path):
        if found == kind and rng.random() < rate:
            if "://" in below[0]:
                raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
            raise OSError(errno.EIO, "Input/output error", path)

    return every_file(below, told)


def no_space(below, after):
    """The disk is full after so many changes below."""
    count = [0]

    def told(kind, path):
        count[0] += kind == "write"
        if kind == "write" and count[0] > after:
            raise (
                _quota_exceeded()
                if "://" in below[0]
                else OSError(errno.ENOSPC, "No space left on device", path)
            )

    return every_file(below, told)


def _quota_exceeded():
    from botocore.exceptions import ClientError

    told = {"Error": {"Code": "QuotaExceeded", "Message": "The quota is used up"}}
    return ClientError(told, "PutObject")


def away(below, after, back):
    """Nobody answers after so many changes below, until something is in the list `back`."""
    count = [0]

    def told(kind, path):
        count[0] += kind == "write"
        if count[0] > after and not back:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused", path)

    return every_file(below, told)


def read_only(below):
    """Nothing may be changed below."""

    def told(kind, path):
        if kind in ("write", "remove"):
            raise OSError(errno.EROFS, "Read-only file system", path)

    return every_file(below, told)


def clock_with(alarm_s, do):
    """Waiting takes no time, and `do()` when so many seconds were waited in all."""

    def arm():
        waited, done = [0.0], []

        def sleep(seconds):
            waited[0] += seconds
            if waited[0] >= alarm_s and not done:
                done.append(True)
                do()

        async def sleep_async(seconds):
            sleep(seconds)

        for name, module in list(sys.modules.items()):
            if name.startswith("volproc") and getattr(module, "sleep", None) is time.sleep:
                module.sleep = sleep
        sys.modules["volproc.retry"].sleep_async = sleep_async

    return arm


def cut_as(shard_bytes, smallest_level=20):
    """Another release of volproc, which makes other shards."""

    def arm():
        from volproc.stages.ingest import shard_layout
        from volproc.volume import metadata

        metadata.SHARD_BYTES, metadata.MIN_LEVEL = shard_bytes, smallest_level
        shard_layout.SHARD_BYTES = shard_layout.SLAB_BYTES = shard_bytes

    return arm


SMALL = cut_as(1)
"""Shards of one chunk and deep pyramids: small volumes have many blocks."""

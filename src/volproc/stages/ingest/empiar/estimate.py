"""What a transfer would take, before it begins."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from volproc.stages.ingest.empiar.listing import matches
from volproc.stages.ingest.empiar.record import Fetched
from volproc.stages.ingest.empiar.retries import RemoteFile
from volproc.stages.ingest.options import FetchOptions

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
    """What is to come, and whether it fits."""

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


def estimate(files: Sequence[RemoteFile], folder: str, options: FetchOptions) -> Estimate:
    """What bringing `files` to `folder` would take. Writes nothing, asks no server."""
    fetched = Fetched(folder)
    total = sum(file.bytes or 0 for file in files)
    here = sum(came.bytes or 0 for file in files if (came := fetched.complete(file)))
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for file in files:
        name = _group(file.path, options.pattern)
        counts[name] += 1
        sizes[name] += file.bytes or 0
    return Estimate(
        files=len(files),
        bytes=total,
        exact=all(file.bytes is not None and file.slack == 0 for file in files),
        here_bytes=here,
        seconds=(total - here) / (BYTES_PER_S * min(options.connections, len(files) or 1)),
        free_bytes=_free(folder),
        groups=tuple(Group(name, counts[name], sizes[name]) for name in sorted(counts)),
    )


def _group(path: str, pattern: Sequence[str]) -> str:
    first = next((one for one in pattern if matches(path, [one])), None)
    return first or path.rpartition("/")[0] or "."


def _free(folder: str) -> int:
    place = os.path.abspath(folder)
    while not os.path.exists(place):
        place = os.path.dirname(place)
    return shutil.disk_usage(place).free

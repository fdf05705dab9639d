"""The regions that are in memory: read once by one thread, while others wait for it or go on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

from volproc.stages.train.pairs import Pair
from volproc.stages.train.regions import SLOTS, Region, Regions

READERS = 2
"""Regions that are read ahead at a time."""
HELD = SLOTS + 2
"""Regions in memory at the most, if they are not all."""


@dataclass(frozen=True)
class RegionCache:
    """Regions by their number; those that were not used for longest go first.

    What it holds changes no patch, only how long one waits for it.
    """

    regions: Regions
    _held: OrderedDict[int, Future[Pair]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)
    _readers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(READERS, "regions")
    )

    def get(self, number: int) -> Pair:
        """The voxels of a region; whatever reading it raises."""
        coming, is_new = self._place(number)
        if is_new:
            self._fill(number, coming)
        return coming.result()

    def expect(self, numbers: Iterable[int]) -> None:
        """Begin to read regions that will be asked for."""
        for number in numbers:
            coming, is_new = self._place(number)
            if is_new:
                self._readers.submit(self._fill, number, coming)

    def _place(self, number: int) -> tuple[Future[Pair], bool]:
        with self._lock:
            is_new = number not in self._held
            coming = self._held.setdefault(number, Future())
            self._held.move_to_end(number)
            while len(self._held) > HELD and not self.regions.is_whole:
                self._held.popitem(last=False)
        return coming, is_new

    def _fill(self, number: int, coming: Future[Pair]) -> None:
        try:
            coming.set_result(read_region(self.regions, self.regions.all[number]))
        except BaseException as error:  # for whoever waits: here nobody would see it
            with self._lock:
                self._held.pop(number, None)
            coming.set_exception(error)


def read_region(regions: Regions, region: Region) -> Pair:
    """The voxels of a region, with centres in its core."""
    return regions.images[region.source].read(region.read, centres=region.core)

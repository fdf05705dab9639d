"""Ids of all objects, 1 to n in the order of their first voxels in the volume (z, then y, then x).

So ids do not depend on how the volume was cut. Objects that end in a group are on disk in that
order. Groups next to one another in a layer of z are merged like sorted lists, together with the
unions of open objects, a piece of each at a time:

    group 0   |3 9 14|20 31 ...          first voxels; pieces between the bars
    group 1   |5 8 11|12 40 ...          all up to 11, the smallest end of a piece, are ready:
    unions    |2 50|                     2 3 5 8 9 11 get the next ids
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.stages.label.criteria import Largest, largest
from volproc.stages.label.merge import Unions
from volproc.stages.label.merge_tables import PIECE, Tables
from volproc.stages.label.merge_task import Groups
from volproc.stages.objects.statistics import Statistics, joined
from volproc.stages.objects.table import Rows

Ids = npt.NDArray[Any]


@dataclass(frozen=True)
class Numbering:
    """The objects of all groups; `closed` is how many end in each of them.

    With `most` only so many of the largest are kept; with `keep_ids` ids are the input's values.
    """

    tables: Tables
    groups: Groups
    closed: Sequence[int]
    unions: Unions
    most: int | None = None
    keep_ids: bool = False

    @property
    def objects(self) -> int:
        """How many objects get an id."""
        return min(self._all, self.most or self._all)

    @property
    def too_many(self) -> int:
        """How many are dropped as they are not among the largest."""
        return self._all - self.objects

    @cached_property
    def dtype(self) -> str:
        """The type of the ids: uint32 if all of them fit, else uint64."""
        values = self._kept_unions.value.view(np.uint64)
        return ids_type(int(values.max(initial=0)) if self.keep_ids else self.objects)

    def rows(self) -> Iterator[Rows]:
        """All objects in order, a bounded number at a time.

        Once the last one has been taken, the ids of all groups are on disk.
        """
        chosen, last = self._largest(), 0
        of_unions: list[Ids] = []
        for groups, streams in self._layers():
            saved = [_SavedIds(self.tables, group) for group in groups]
            for found, source in in_order(streams):
                kept = chosen.has(found) if chosen else np.ones(len(found), dtype=bool)
                names = found.value if self.keep_ids else last + np.cumsum(kept)
                ids = np.where(kept, names, 0).astype(self.dtype)
                last += int(kept.sum())
                for n, one in enumerate(saved):
                    one.add(ids[source == n])
                of_unions.append(ids[source == len(saved)])
                yield ids[kept], found.take(kept)
            for one in saved:
                one.flush()
        self._save_open(np.concatenate([np.empty(0, dtype=self.dtype), *of_unions]))

    @property
    def _all(self) -> int:
        return sum(self.closed) + len(self._kept_unions)

    @cached_property
    def _order(self) -> npt.NDArray[np.intp]:
        """Unions that are kept, by their first voxels."""
        kept = np.flatnonzero(self.unions.broken == 0)
        return kept[np.argsort(self.unions.objects.first[kept])]

    @cached_property
    def _kept_unions(self) -> Statistics:
        return self.unions.objects.take(self._order)

    def _layers(self) -> Iterator[tuple[range, list[Iterator[Statistics]]]]:
        """The groups of each layer of z, and sorted streams of their objects and of unions."""
        _, rows, columns = self.groups.blocks.shape
        begin = 0
        for groups, z in self.groups.layers():
            end = int(np.searchsorted(self._kept_unions.first, z * rows * columns))
            unions = self._kept_unions.take(slice(begin, end))
            yield groups, [*(self._closed_in(group) for group in groups), iter([unions])]
            begin = end

    def _closed_in(self, group: int) -> Iterator[Statistics]:
        return self.tables.closed_objects(group, count=self.closed[group])

    def _largest(self) -> Largest | None:
        """The objects to keep, if not all are."""
        if not self.too_many:
            return None
        found = largest(self.objects).joined(self._kept_unions)
        for group in range(len(self.groups.grid)):
            for piece in self._closed_in(group):
                found = found.joined(piece)
        return found

    def _save_open(self, ids: Ids) -> None:
        of_union = np.zeros(len(self.unions.objects), dtype=self.dtype)
        of_union[self._order] = ids
        of_open = of_union[self.unions.member]
        begin = 0
        for group in range(len(self.groups.grid)):
            count = self.unions.counts[group]
            self.tables.save_ids(group, "open", of_open[begin : begin + count])
            begin += count


def ids_type(highest: int) -> str:
    """uint32 for ids up to `highest` if they fit, else uint64."""
    return "uint32" if highest < 2**32 else "uint64"


def in_order(streams: Sequence[Iterator[Statistics]]) -> Iterator[tuple[Statistics, Ids]]:
    """Objects of sorted streams by their first voxels, and the stream that each comes from.

    One piece of every stream is in memory at a time.
    """
    waiting: dict[int, Statistics] = {}
    while True:
        for n, stream in enumerate(streams):
            while n not in waiting and (piece := next(stream, None)) is not None:
                if len(piece):
                    waiting[n] = piece
        if not waiting:
            return
        until = min(piece.first[-1] for piece in waiting.values())
        ends = {n: int(np.searchsorted(p.first, until, "right")) for n, p in waiting.items()}
        found = joined(waiting[n].take(slice(end)) for n, end in ends.items())
        source = np.repeat(list(ends), list(ends.values()))
        order = np.argsort(found.first)
        yield found.take(order), source[order]
        left = {n: piece.take(slice(ends[n], None)) for n, piece in waiting.items()}
        waiting = {n: piece for n, piece in left.items() if len(piece)}


class _SavedIds:
    """Writes the ids of a group's closed objects, in pieces like the objects."""

    def __init__(self, tables: Tables, group: int) -> None:
        self._tables, self._group, self._pieces = tables, group, 0
        self._waiting: list[Ids] = []

    def add(self, ids: Ids) -> None:
        self._waiting.append(ids)
        if sum(map(len, self._waiting)) >= PIECE:
            together = np.concatenate(self._waiting)
            self._save(together[:PIECE])
            self._waiting = [together[PIECE:]]

    def flush(self) -> None:
        if any(map(len, self._waiting)):
            self._save(np.concatenate(self._waiting))

    def _save(self, ids: Ids) -> None:
        self._tables.save_ids(self._group, self._pieces, ids)
        self._pieces += 1

"""A box of voxels, and arithmetic on triples. Everything is in the order z, y, x."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TypeVar

Shape = tuple[int, int, int]
"""Three whole numbers of voxels, (z, y, x)."""

_T = TypeVar("_T")


def each(function: Callable[..., _T], *triples: Iterable[object]) -> tuple[_T, _T, _T]:
    """`function` applied axis by axis: each(add, (1, 2, 3), (1, 1, 1)) == (2, 3, 4)."""
    z, y, x = map(function, *triples)
    return z, y, x


@dataclass(frozen=True, slots=True)
class Box:
    """Voxels from `start` up to, not including, `stop`, on every axis (z, y, x).

    >>> Box((0, 0, 0), (4, 8, 8)).shape
    (4, 8, 8)
    """

    start: Shape
    stop: Shape

    @property
    def shape(self) -> Shape:
        """Voxels along each axis; 0 where `stop` does not lie beyond `start`."""
        return each(lambda a, b: max(0, b - a), self.start, self.stop)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index for an array whose first voxel is at the origin."""
        return each(slice, self.start, self.stop)

    def grow(self, by: Shape) -> Box:
        """The box with `by` more voxels on both sides of each axis."""
        return self.extend(by, by)

    def extend(self, before: Shape, after: Shape) -> Box:
        """The box with `before` more voxels in front and `after` more behind."""
        return Box(
            each(lambda a, b: a - b, self.start, before),
            each(lambda a, b: a + b, self.stop, after),
        )

    def clip(self, whole: Box) -> Box:
        """The part inside `whole`; empty (size 0) where they do not meet."""
        start = each(max, self.start, whole.start)
        return Box(start, each(max, start, each(min, self.stop, whole.stop)))

    def shift(self, by: Shape) -> Box:
        """The box moved by `by` voxels."""
        start, stop = (each(lambda a, b: a + b, end, by) for end in (self.start, self.stop))
        return Box(start, stop)

    def within(self, origin: Shape) -> Box:
        """The same voxels counted from `origin`: the index into an array that starts there."""
        return self.shift(each(lambda o: -o, origin))

    def contains(self, other: Box) -> bool:
        """Whether every voxel of `other` lies in this box."""
        return other.clip(self) == other

    def slabs(self, depth: int) -> Iterator[Box]:
        """The box in slices of up to `depth` planes, one after the other."""
        for z in range(self.start[0], self.stop[0], depth):
            end = min(z + depth, self.stop[0])
            yield Box((z, *self.start[1:]), (end, *self.stop[1:]))

    def aligned_to(self, step: Shape, *, whole: Box) -> bool:
        """Whether it starts on multiples of `step` and ends on them or at the end of `whole`."""
        ends = zip(self.start, self.stop, step, whole.stop, strict=True)
        return all(a % s == 0 and (b % s == 0 or b == end) for a, b, s, end in ends)

    def __str__(self) -> str:
        return ", ".join(
            f"{axis} {a}:{b}" for axis, a, b in zip("zyx", self.start, self.stop, strict=True)
        )


def whole_box(shape: Shape) -> Box:
    """All voxels of a volume of `shape`."""
    return Box((0, 0, 0), shape)

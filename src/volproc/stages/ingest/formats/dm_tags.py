"""The tags of a Gatan DigitalMicrograph file (DM3, DM4): a tree of names, numbers, text and arrays.

Written after the public descriptions of C. Boothroyd (https://er-c.org/cbb/info/dmformat/) and
G. Jefferis (https://imagej.net/ij/plugins/DM3Format.gj.html):

    file    version (3, 4), bytes, order (1 = little), group       counts: 32 bits in version 3,
    group   sorted, open, count, `count` entries                   64 bits in version 4
    entry   kind (20 group, 21 data), name, [bytes: version 4], group or data
    data    "%%%%", n, n numbers that describe the type, the value

Header and counts are big-endian; `order` is that of the values.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from volproc.grid.units import typed

_NUMBERS = dict(zip(range(2, 13), "hiHIfdbbbqQ", strict=True))
"""Letters of `struct` for the codes of simple types; 8 is a truth value, 9 and 10 characters."""

_STRUCT, _STRING, _ARRAY = 15, 18, 20
_GROUP, _DATA = 20, 21
_MAX_DEPTH = 64
_MAX_ENTRIES = 1_000_000
_MAX_TYPE = 4096
_MAX_TEXT = 1024


@dataclass(frozen=True, slots=True)
class Placed:
    """An array that stays in the file: `nbytes` from byte `offset`.

    `text` is what a short array of 16-bit numbers says: strings are stored as such arrays.
    """

    offset: int
    nbytes: int
    text: str = ""


Tag = int | float | str | tuple[int | float, ...] | Placed | dict[str, "Tag"]
"""A value or a group of them; entries without a name are called by their place, from "0"."""


def read_tags(file: BinaryIO, *, size: int) -> tuple[dict[str, Tag], str]:
    """All tags of a file of `size` bytes, and the byte order of its values: "<" or ">".

    Arrays are passed over, never read; ValueError says what a damaged file lacks.
    """
    head = file.read(16)
    version = int.from_bytes(head[:4])
    if version not in (3, 4) or len(head) < 16:
        raise ValueError("it does not begin as a DM3 or DM4 file does")
    order = head[8:12] if version == 3 else head[12:16]
    if order not in (b"\0\0\0\0", b"\0\0\0\1"):
        raise ValueError(f"byte order {order.hex()} is unknown; expected 0 or 1")
    walk = _Walk(file, size, wide=version == 4, order="<" if order[3] else ">")
    walk.skip_to(12 if version == 3 else 16)
    return walk.group(depth=0), walk.order


def find(tags: Tag | None, path: str) -> Tag | None:
    """The tag at names joined by "/"; None where there is none."""
    for name in path.split("/"):
        tags = tags.get(name) if isinstance(tags, dict) else None
    return tags


@dataclass
class _Walk:
    """One pass through a file, forward only: a damaged file ends it, whatever its counts say."""

    file: BinaryIO
    size: int
    wide: bool
    order: str
    place: int = 0
    entries: int = 0

    def skip_to(self, place: int) -> None:
        if not self.place <= place <= self.size:
            raise ValueError(f"a tag at byte {self.place} would end at byte {place} of {self.size}")
        self.file.seek(place)
        self.place = place

    def take(self, count: int) -> bytes:
        got = self.file.read(count) if count <= self.size - self.place else b""
        if len(got) < count:
            raise ValueError(f"it ends inside a tag, at byte {self.size}")
        self.place += count
        return got

    def count(self) -> int:
        return int.from_bytes(self.take(8 if self.wide else 4))

    def number(self, letter: str) -> int | float:
        packed = struct.Struct(self.order + letter)
        value: int | float = packed.unpack(self.take(packed.size))[0]
        return typed(np.float32(value)) if letter == "f" else value

    def group(self, *, depth: int) -> dict[str, Tag]:
        if depth > _MAX_DEPTH:
            raise ValueError(f"tags are nested deeper than {_MAX_DEPTH} groups")
        self.take(2)  # whether sorted, whether open: for the program that wrote it
        count = self.count()
        self.entries += count
        if self.entries > _MAX_ENTRIES or count > self.size - self.place:
            raise ValueError(f"a group claims {count} tags")
        tags: dict[str, Tag] = {}
        for position in range(count):
            kind, length = struct.unpack(">BH", self.take(3))
            name = self.take(length).decode("utf-8", "replace") or str(position)
            self._entry(tags, name, kind, depth=depth)
        return tags

    def _entry(self, tags: dict[str, Tag], name: str, kind: int, *, depth: int) -> None:
        end = self.count() + self.place if self.wide else None
        if kind == _GROUP:
            tags[name] = self.group(depth=depth + 1)
        elif kind == _DATA:
            tags[name] = self._data()
        elif end is None:
            raise ValueError(f"tag {name!r} is of kind {kind}; expected {_GROUP} or {_DATA}")
        else:  # newer kinds can be passed over where their size is stated
            self.skip_to(end)

    def _data(self) -> Tag:
        if self.take(4) != b"%%%%":
            raise ValueError(f"no tag begins at byte {self.place - 4}")
        length = self.count()
        if not 0 < length <= _MAX_TYPE:
            raise ValueError(f"a tag at byte {self.place} is described by {length} numbers")
        code, *details = [self.count() for _ in range(length)]
        if code in _NUMBERS and not details:
            return self.number(_NUMBERS[code])
        if code == _STRUCT:
            return tuple(self.number(letter) for letter in _fields(details))
        if code == _STRING and len(details) == 1:
            return self._array("H", details[0])
        if code == _ARRAY and len(details) == 2 and details[0] in _NUMBERS:
            return self._array(_NUMBERS[details[0]], details[1])
        if code == _ARRAY and details[:1] == [_STRUCT]:
            return self._array("".join(_fields(details[1:-1])), details[-1])
        raise ValueError(f"a tag at byte {self.place} is of unknown type {[code, *details[:4]]}")

    def _array(self, letters: str, count: int) -> Placed:
        # counts of a damaged file are unbounded; Python's integers are too
        start, nbytes = self.place, struct.calcsize("<" + letters) * count
        if letters == "H" and count <= _MAX_TEXT:
            codec = "utf-16-le" if self.order == "<" else "utf-16-be"
            return Placed(start, nbytes, self.take(nbytes).decode(codec, "replace"))
        self.skip_to(start + nbytes)
        return Placed(start, nbytes)


def _fields(details: list[int]) -> list[str]:
    """Letters of a struct's fields; `details` are 0, how many, then 0 and a code for each."""
    many = details[1] if len(details) > 1 else -1
    codes = details[3::2]
    if len(details) != 2 + 2 * many or any(code not in _NUMBERS for code in codes):
        raise ValueError(f"a struct is described by {details[:8]}")
    return [_NUMBERS[code] for code in codes]

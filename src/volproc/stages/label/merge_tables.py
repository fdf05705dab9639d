"""What blocks and groups leave on disk for each other: small files in one folder.

    OBJECTS.tables/12.table          of block 12: its components that the merge must know
    OBJECTS.tables/12.faces          its ids towards each neighbour
    OBJECTS.tables/12.ids            for block 12: the final id of each of its own ids
    OBJECTS.tables/group-3.open      of group 3: objects that may go on beyond it
    OBJECTS.tables/group-3.fate      what became of each component of its blocks
    OBJECTS.tables/group-3.closed-0  objects that end within it, in pieces, by their first voxels
    OBJECTS.tables/group-3.ids-open  for group 3: final ids of its open objects
    OBJECTS.tables/group-3.ids-0     final ids of the closed ones in a piece

Every file names the digest it was made for, so that none of another run is ever trusted: what
blocks found depends on less than what became of it, and stays good when a filter changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape
from volproc.stages.label.block_table import BlockTable
from volproc.stages.label.merge import Group, OpenObjects, Unions
from volproc.stages.objects.array_files import Packed, packed, read_packed
from volproc.stages.objects.components import Labels, border
from volproc.stages.objects.statistics import Statistics, joined
from volproc.volume.file_io import write_file

PIECE = 2**15
"""Closed objects in a file: all groups side by side have one piece each in memory."""
UNIONS = 2**20
"""Unions in a file: an array that is compressed has at most 2 GB."""


@dataclass(frozen=True)
class Tables:
    """The folder of tables of one run."""

    folder: str
    digest: str
    merge_digest: str = ""

    def save_block(
        self, index: int, table: BlockTable, faces: Mapping[Shape, Labels], *, content: int
    ) -> None:
        """Keep what block `index` found; faces without foreground take no space.

        `content` is a checksum of the block's voxels, for the second pass to compare.
        """
        smallest = np.min_scalar_type(table.count)
        sides = {_side(step): values for step, values in faces.items() if values.any()}
        self._save(f"{index}.faces", {k: v.astype(smallest) for k, v in sides.items()})
        self._save(
            f"{index}.table",
            {
                "count": np.int64(table.count),
                "content": np.int64(content),
                "border_ids": table.border_ids,
                "border": table.border.rows,
                "inner_ids": table.inner_ids,
                "inner": table.inner.rows,
            },
        )

    def block(self, index: int) -> BlockTable:
        """What block `index` found, without its faces."""
        found = self._load(f"{index}.table")
        return BlockTable(
            count=int(found["count"]),
            border_ids=found["border_ids"],
            border=Statistics(found["border"]),
            inner_ids=found["inner_ids"],
            inner=Statistics(found["inner"]),
        )

    def save_group(self, index: int, group: Group) -> None:
        """Keep what became of a group's components."""
        opened = group.open
        self._save(
            f"group-{index}.open",
            {
                "objects": opened.objects.rows,
                "names": opened.names,
                "vertex": opened.vertex,
                "crossing": opened.crossing,
            },
        )
        self._save(f"group-{index}.fate", {"fate": group.fate})
        for piece, start in enumerate(range(0, len(group.closed), PIECE)):
            rows = group.closed.rows[start : start + PIECE]
            self._save(f"group-{index}.closed-{piece}", {"rows": rows})

    def open_objects(self, index: int) -> OpenObjects:
        """Objects of a group that may go on beyond it."""
        found = self._load(f"group-{index}.open")
        return OpenObjects(
            Statistics(found["objects"]), found["names"], found["vertex"], found["crossing"]
        )

    def closed_objects(self, index: int, *, count: int) -> Iterator[Statistics]:
        """The `count` objects that end within a group, piece by piece, by their first voxels."""
        for piece in range(-(-count // PIECE)):
            yield Statistics(self._load(f"group-{index}.closed-{piece}")["rows"])

    def save_unions(self, unions: Unions) -> None:
        """Keep the unions of the open objects of all groups."""
        ends = np.cumsum(unions.counts)[:-1]
        for index, member in enumerate(np.split(unions.member, ends)):
            self._save(f"group-{index}.unions", {"member": member})
        for piece, start in enumerate(range(0, len(unions.objects), UNIONS)):
            part = slice(start, start + UNIONS)
            rows, broken = unions.objects.rows[part], unions.broken[part]
            self._save(f"unions-{piece}", {"rows": rows, "broken": broken})

    def unions(self, groups: int) -> Unions:
        """The same, of so many groups."""
        members = [self._load(f"group-{index}.unions")["member"] for index in range(groups)]
        member = np.concatenate(members)
        pieces = range(-(-(int(member.max(initial=-1)) + 1) // UNIONS))
        parts = [self._load(f"unions-{piece}") for piece in pieces]
        return Unions(
            joined(Statistics(part["rows"]) for part in parts),
            tuple(map(len, members)),
            member,
            np.concatenate([np.empty(0, dtype=np.intp), *(part["broken"] for part in parts)]),
        )

    def save_ids(self, index: int, piece: int | str, ids: npt.NDArray[Any]) -> None:
        """Keep final ids of a group's open objects (piece "open"), or of a piece of closed ones."""
        self._save(f"group-{index}.ids-{piece}", {"ids": ids})

    def ids(self, index: int, *, closed: int) -> npt.NDArray[Any]:
        """The final id of every fate in a group (see `Group`)."""
        pieces = ["open", *range(-(-closed // PIECE))]
        found = [self._load(f"group-{index}.ids-{piece}")["ids"] for piece in pieces]
        return np.concatenate([np.zeros(1, dtype=found[0].dtype), *found])

    def save_lookups(self, index: int, members: list[int], ids: npt.NDArray[Any]) -> None:
        """Keep, for each block of a group, what it puts in place of each of its own ids."""
        fate = self._load(f"group-{index}.fate")["fate"]
        found = {block: self._load(f"{block}.table") for block in members}
        of_blocks = lookups([_local_ids(one) for one in found.values()], ids[fate])
        for (block, one), lookup in zip(found.items(), of_blocks, strict=True):
            self._save(f"{block}.ids", {"lookup": lookup, "content": one["content"]})

    def lookup(self, block: int) -> tuple[npt.NDArray[Any], int]:
        """The final id for each id of a block, and the checksum of the voxels they came from."""
        found = self._load(f"{block}.ids")
        return found["lookup"], int(found["content"])

    def faces(self, block: int) -> Packed:
        """A block's ids towards its neighbours."""
        return self._load(f"{block}.faces")

    def _save(self, name: str, arrays: Mapping[str, Any]) -> None:
        write_file(f"{self.folder}/{name}", packed(arrays, digest=self._digest_of(name)))

    def _load(self, name: str) -> Packed:
        return read_packed(f"{self.folder}/{name}", digest=self._digest_of(name))

    def _digest_of(self, name: str) -> str:
        return self.digest if name.endswith((".table", ".faces")) else self.merge_digest


def lookups(
    blocks: Sequence[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]], ids: npt.NDArray[Any]
) -> list[npt.NDArray[Any]]:
    """For each block the final id of each of its own ids, 0 to its count.

    `blocks` have their count, and their ids at a border and inside; `ids` are the final ones, first
    of all those at borders, then of all inside.
    """
    parts = [*(border for _, border, _ in blocks), *(inner for _, _, inner in blocks)]
    split = np.split(ids, np.cumsum([len(part) for part in parts])[:-1])
    found = []
    for n, (count, at_border, inside) in enumerate(blocks):
        lookup = np.zeros(count + 1, dtype=ids.dtype)
        lookup[at_border] = split[n]
        lookup[inside] = split[len(blocks) + n]
        found.append(lookup)
    return found


def _local_ids(found: Packed) -> tuple[int, npt.NDArray[Any], npt.NDArray[Any]]:
    return int(found["count"]), found["border_ids"], found["inner_ids"]


def faces_of(tables: Tables, *, keep: int) -> Callable[[int, Shape], Labels]:
    """Gives a block's border towards a step: a face, or the part of one along an edge or corner.

    An empty array where there is no foreground. Neighbours come up soon after each other, so the
    faces of `keep` blocks stay at hand, compressed.
    """
    files = lru_cache(maxsize=keep)(tables.faces)

    @lru_cache(maxsize=64)
    def face(index: int, side: str) -> Labels:
        found = files(index)
        if side not in found:
            return np.zeros((0, 0, 0), dtype=np.uint32)
        return found[side].astype(np.uint32)

    def load(index: int, step: Shape) -> Labels:
        found = face(index, _side(face_towards(step)))
        return border(found, step) if found.size else found

    return load


def face_towards(step: Shape) -> Shape:
    """The step through the face of which the border towards `step` is a part.

    >>> face_towards((0, -1, 1))
    (0, -1, 0)
    """
    axis = next(axis for axis, s in enumerate(step) if s)
    z, y, x = (s if at == axis else 0 for at, s in enumerate(step))
    return z, y, x


def _side(step: Shape) -> str:
    """A name for a step.

    >>> _side((0, 0, -1))
    'side_==-'
    """
    return "side_" + "".join("-=+"[s + 1] for s in step)

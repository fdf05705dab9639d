"""An edit as it is recorded: what was asked for, and all that follows from the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from volproc.grid.box import Box, each
from volproc.stages.edits.requests import EditRequest


@dataclass(frozen=True)
class Edit:
    """Number `number` of a run. No voxel outside `box` and of no other object changes.

    `touched` are the ids of objects that lose or get voxels; `new_ids` those of a split's parts but
    the first, which keeps the object's; `part_boxes` the boxes of all its parts.
    """

    number: int
    asked: EditRequest
    box: Box
    touched: tuple[int, ...]
    new_ids: tuple[int, ...] = ()
    part_boxes: tuple[Box, ...] = ()

    @property
    def kept(self) -> int:
        """The id that goes on: of a merge the smallest, else the only one (0: background)."""
        return min(self.asked.objects)

    @property
    def gone(self) -> tuple[int, ...]:
        """Ids that are no more."""
        if self.asked.do == "delete":
            return self.asked.objects
        return tuple(set(self.asked.objects) - {self.kept}) if self.asked.do == "merge" else ()

    def depends_on(self, earlier: Edit) -> bool:
        """Whether it might do something else without `earlier`: it changed the same objects, or
        paints where that one changed something."""
        painted_there = self.asked.do == "paint" and self.box.clip(earlier.box).size > 0
        return painted_there or not set(self.touched).isdisjoint(earlier.touched)

    def record(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            "number": self.number,
            **self.asked.model_dump(mode="json", exclude_defaults=True),
            "box": [self.box.start, self.box.stop],
            "touched": self.touched,
            "new_ids": self.new_ids,
            "part_boxes": [[one.start, one.stop] for one in self.part_boxes],
        }

    def __str__(self) -> str:
        objects = ", ".join(map(str, self.asked.objects))
        made = f", new {', '.join(map(str, self.new_ids))}" if self.new_ids else ""
        return f"{self.asked.do} {objects}{made}"


def edit_of(record: Mapping[str, Any]) -> Edit:
    """The edit of a record; KeyError, TypeError or ValueError where it is none."""
    asked = {name: record[name] for name in EditRequest.model_fields if name in record}
    return Edit(
        int(record["number"]),
        EditRequest.model_validate(asked),
        _box(record["box"]),
        tuple(map(int, record["touched"])),
        tuple(map(int, record["new_ids"])),
        tuple(map(_box, record["part_boxes"])),
    )


def _box(corners: Any) -> Box:
    start, stop = corners
    return Box(each(int, start), each(int, stop))


def union(*boxes: Box) -> Box:
    """The smallest box around some, of which one at least is not empty."""
    full = [box for box in boxes if box.size] or list(boxes[:1])
    return Box(
        each(lambda *a: min(a), *(box.start for box in full)),
        each(lambda *b: max(b), *(box.stop for box in full)),
    )

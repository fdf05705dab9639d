"""Requests checked against the labels as they are by then, and appended to the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import floor
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from volproc.engine.machine import machine_bytes
from volproc.engine.memory import human
from volproc.errors import ConfigError, MemoryLimitError
from volproc.grid.box import Box, Shape, each
from volproc.stages.edits import seeded_split
from volproc.stages.edits.edit import Edit, union
from volproc.stages.edits.edit_log import EditLog, read_edit_log, save_parts, stored_parts
from volproc.stages.edits.edited_labels import edited
from volproc.stages.edits.object_boxes import ObjectBoxes, boxes_in
from volproc.stages.edits.painted_shape import painted, shape_box
from volproc.stages.edits.requests import EditRequest, Point
from volproc.stages.edits.seeded_split import MOST_PARTS, Parts
from volproc.volume.file_io import sibling
from volproc.volume.metadata import VolumeInfo
from volproc.volume.sampling import level_not_coarser, sampling_to
from volproc.volume.store import Volume

SLAB_VOXELS = 2**24
"""Of a painted shape, looked at together."""


def edited_dtype(labels: VolumeInfo, largest: int) -> str:
    """The type of edited labels: that of the labels, if every id fits."""
    return str(np.result_type(labels.dtype, np.uint32 if largest < 2**32 else np.uint64))


@dataclass
class EditSession:
    """The labels of a run with all edits that count, and more of them to come.

    `probability` is the volume that a split may follow.
    """

    labels: VolumeInfo
    log: EditLog
    probability: VolumeInfo | None = None
    _new: list[Edit] = field(default_factory=list)
    _parts: dict[int, Parts] = field(default_factory=dict)

    def append(self, requests: Iterable[EditRequest]) -> tuple[Edit, ...]:
        """Check all, then append them as one line; ConfigError, and nothing is appended.

        Parts of splits are stored before the line: a kill between leaves a file that nobody reads.
        """
        try:
            for asked in requests:
                edit = self._checked(asked)
                self.boxes.count(edit)
                self._new.append(edit)
        except Exception:
            self._forget()
            raise
        new = tuple(self._new)
        log = self.log.begun_for(self.labels, max(self.boxes.first, default=0))
        for number, parts in self._parts.items():
            save_parts(log.url, number, parts)
        self.log = log.append(new)
        self._new, self._parts = [], {}
        return new

    def undo(self, number: int = 0, *, why: str = "") -> None:
        """Undo an edit, by default the last."""
        self.log = self.log.undo(number, why=why)
        self._forget()

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The labels of a box after all edits."""
        base = Volume(self.labels).read(box).astype(self._dtype)
        every = (*self.log.active, *self._new)
        return edited(base, box, every, parts_of=self._parts_of, voxel_nm=self.labels.voxel_nm)

    def label_at(self, point: Point) -> int:
        """The object at a position in nm, 0 for background; ConfigError outside the volume."""
        voxel = self._voxel(point)
        return int(self.read(_one(voxel)).item())

    @cached_property
    def boxes(self) -> ObjectBoxes:
        """Where the objects are after all edits."""
        return ObjectBoxes(boxes_in(sibling(self.labels.url, ".csv"))).after(self.log.active)

    @property
    def _largest(self) -> int:
        first = max(self.boxes.first, default=0) if not self.log.head else 0
        return max([first, self.log.largest, *(n for edit in self._new for n in edit.new_ids)])

    @property
    def _dtype(self) -> str:
        return edited_dtype(self.labels, self._largest + MOST_PARTS)

    @property
    def _number(self) -> int:
        return max([0, *self.log.edits]) + len(self._new) + 1

    def _forget(self) -> None:
        self._new, self._parts = [], {}
        self.__dict__.pop("boxes", None)

    def _parts_of(self, edit: Edit) -> Parts:
        found = self._parts.get(edit.number)
        return stored_parts(self.log.url, self.log.id, edit) if found is None else found

    def _checked(self, asked: EditRequest) -> Edit:
        around = [self.boxes.of(one) for one in asked.objects if one]
        match asked.do:
            case "merge":
                gone = [self.boxes.of(one) for one in set(asked.objects) - {min(asked.objects)}]
                return Edit(self._number, asked, union(*gone), tuple(sorted(asked.objects)))
            case "delete":
                return Edit(self._number, asked, union(*around), tuple(sorted(asked.objects)))
            case "split":
                return self._split(asked, around[0])
            case "paint":
                return self._paint(asked)

    def _split(self, asked: EditRequest, box: Box) -> Edit:
        identifier, count = asked.objects[0], len(asked.parts)
        seeds = [[self._voxel(point) for point in part] for part in asked.parts]
        _require_apart(asked.parts, seeds)
        if count > MOST_PARTS:
            raise ConfigError(f"a split into {count} parts; {MOST_PARTS} are the most")
        needed = box.size * seeded_split.BYTES_PER_VOXEL
        if needed > machine_bytes():
            raise MemoryLimitError(
                f"to split object {identifier} takes {human(needed)}, this machine has "
                f"{human(machine_bytes())}; use one with more memory, or paint the cut"
            )
        mask = self.read(box) == identifier
        for part, places in zip(asked.parts, seeds, strict=True):
            for point, place in zip(part, places, strict=True):
                if not (box.contains(_one(place)) and mask[_one(place).within(box.start).slices]):
                    raise ConfigError(
                        f"the position {list(point)} nm is not in object {identifier} but in "
                        f"{self.label_at(point) or 'the background'}; a split begins inside it"
                    )
        within = [[each(int.__sub__, place, box.start) for place in part] for part in seeds]
        parts = seeded_split.split(
            mask,
            within,
            voxel_nm=self.labels.voxel_nm,
            probability=self._heights(asked, box),
        )
        self._parts[self._number] = parts
        new_ids = tuple(range(self._largest + 1, self._largest + count))
        return Edit(
            self._number, asked, box, (identifier, *new_ids), new_ids, tuple(_boxes(parts, box))
        )

    def _heights(self, asked: EditRequest, box: Box) -> npt.NDArray[Any] | None:
        if asked.by == "distance":
            return None
        info = self.probability
        if info is None or info.channels:
            raise ConfigError(
                'by = "probability" needs a prediction of one class beside the labels; take '
                '"distance"'
            )
        level = level_not_coarser(info, self.labels.voxel_nm)
        sampling = sampling_to(info, self.labels, level=level)
        return sampling.sample_mean(Volume(info).read(sampling.source(box), level), box)

    def _paint(self, asked: EditRequest) -> Edit:
        for one in asked.over:
            if one:
                self.boxes.of(one)
        whole = shape_box(asked, self.labels.voxel_nm)
        box = whole.clip(self.labels.box)
        touched: set[int] = set()
        changes = False
        depth = max(1, SLAB_VOXELS // max(1, box.shape[1] * box.shape[2]))
        for slab in box.slabs(depth) if box.size else ():
            mask = painted(asked, slab, self.labels.voxel_nm)
            labels = self.read(slab)
            if asked.over:
                mask &= np.isin(labels, np.array(asked.over, dtype=labels.dtype))
            found = np.unique(labels[mask & (labels != asked.objects[0])]).tolist()
            changes |= bool(found)
            touched |= set(found)
        if not changes:
            raise ConfigError(
                f"paint of {asked.objects[0] or 'background'} changes no voxel: the shape, voxels "
                f"{whole}, covers none that is another's; the volume is {self.labels.box}"
            )
        everyone = touched | {asked.objects[0]}
        return Edit(self._number, asked, box, tuple(sorted(everyone - {0})))

    def _voxel(self, point: Point) -> Shape:
        voxel = each(lambda p, v: floor(p / v), point, self.labels.voxel_nm)
        if not self.labels.box.contains(_one(voxel)):
            sizes = [n * v for n, v in zip(self.labels.shape, self.labels.voxel_nm, strict=True)]
            raise ConfigError(
                f"the position {list(point)} nm is outside the volume, which is {sizes} nm long; "
                "positions count from its corner, as in the table of objects"
            )
        return voxel


def open_session(labels: VolumeInfo, log_url: str, probability: VolumeInfo | None) -> EditSession:
    """A session on the log at `log_url`; ConfigError if its edits are of other labels."""
    log = read_edit_log(log_url)
    log.require_made_for(labels)
    return EditSession(labels, log, probability)


def _require_apart(parts: Sequence[Sequence[Point]], seeds: Sequence[Sequence[Shape]]) -> None:
    seen: dict[Shape, int] = {}
    for number, places in enumerate(seeds, start=1):
        for point, place in zip(parts[number - 1], places, strict=True):
            if seen.setdefault(place, number) != number:
                raise ConfigError(
                    f"parts {seen[place]} and {number} of the split both begin at {list(point)} "
                    f"nm, voxel {list(place)}; give them positions apart"
                )


def _boxes(parts: Parts, box: Box) -> Iterator[Box]:
    for place in find_objects(parts):
        found = Box(each(lambda s: s.start, place), each(lambda s: s.stop, place))
        yield found.shift(box.start)


def _one(voxel: Shape) -> Box:
    return Box(voxel, each(lambda n: n + 1, voxel))

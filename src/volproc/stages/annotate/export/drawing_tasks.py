"""The annotations of a classification: which tasks ask for drawings, and what was drawn."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from volproc.drawing import Stroke
from volproc.stages.annotate.export.marks import (
    BadMark,
    Mark,
    Size,
    frame_of,
    is_mark,
    read_mark,
    tool_of,
)
from volproc.stages.annotate.export.rejections import MarkFault, Reason, UnusableRow
from volproc.stages.annotate.options import AnnotateOptions

MAX_DEPTH = 8
"""Tasks within tasks."""


class DrawingTasks:
    """The drawing tasks that were answered, and the marks they got."""

    def __init__(self, chosen: Collection[str]) -> None:
        self.chosen = chosen
        self.marks: list[Any] = []
        self.asked: set[str] = set()
        self.silent: set[str] = set()

    def add(self, annotations: list[Any], *, depth: int = 0) -> None:
        """Take the marks of all answers, also of those within the answer to a combined task."""
        for answer in annotations:
            if not isinstance(answer, dict) or not isinstance(answer.get("value"), list):
                continue  # other questions are answered by numbers and words; skipped ones by null
            value = answer["value"]
            if any(isinstance(one, dict) and "task" in one and "value" in one for one in value):
                if depth < MAX_DEPTH:
                    self.add(value, depth=depth + 1)
            elif "markIndex" not in answer:  # those are details of a mark
                self._add_answer(answer.get("task"), answer.get("taskType"), value)

    def _add_answer(self, task: object, kind: object, value: list[Any]) -> None:
        if not isinstance(task, str) or (self.chosen and task not in self.chosen):
            return
        if kind == "drawing" or task in self.chosen or any(map(is_mark, value)):
            self.asked.add(task)
            self.marks += value
        elif not value and kind is None:
            self.silent.add(task)


class FrameMarks:
    """The strokes of a row on the frames that are read, and what was dropped."""

    def __init__(
        self, options: AnnotateOptions, shown: int, sizes: tuple[Size | None, ...]
    ) -> None:
        self.options, self.shown, self.sizes = options, shown, sizes
        self.drawn: dict[int, list[Stroke]] = {}
        self.kinds: list[str] = []
        self.faults: list[MarkFault] = []
        self.lost_points = 0

    def add(self, mark: object) -> None:
        """Keep the stroke of a mark, or the reason why it has none."""
        try:
            self._keep(self._read(mark))
        except BadMark as bad:
            self.faults.append(bad.fault)

    def _read(self, mark: object) -> Mark:
        if not isinstance(mark, dict):
            raise BadMark("broken mark")
        if self.options.tool and tool_of(mark) not in self.options.tool:
            raise BadMark("another tool")
        if self.options.frames == "shown" and frame_of(mark) != self.shown:
            raise BadMark("another frame")
        return read_mark(mark, sizes=self.sizes, bezier_tools=self.options.bezier_tools)

    def _keep(self, mark: Mark) -> None:
        self.drawn.setdefault(mark.frame, []).append(mark.stroke)
        self.kinds.append(mark.kind)
        self.lost_points += mark.lost

    def require_use(self) -> None:
        """UnusableRow if no mark can be used, unless all are of other tools: then it is empty."""
        faults = [fault for fault in self.faults if fault != "another tool"]
        if self.drawn or not faults:
            return
        reason: Reason = "another frame" if set(faults) == {"another frame"} else "no usable mark"
        detail = ", ".join(f"{faults.count(fault)} x {fault}" for fault in sorted(set(faults)))
        raise UnusableRow(reason, detail, tuple(self.faults))

"""Counts of what an export holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from volproc.stages.annotate.export.rejections import LEFT_OUT, Reason
from volproc.stages.annotate.export.vote_selection import CountedVote
from volproc.stages.annotate.export.zooniverse import Classification


@dataclass(frozen=True)
class Summary:
    """What an export held. Marks, lines, points and absent votes are those of rows in order."""

    rows: int
    marks: dict[str, int]
    open_lines: int
    closed_lines: int
    absent: int
    rejected: dict[str, int]
    left_out: dict[str, int]
    dropped_marks: dict[str, int]
    dropped_points: int
    votes: int
    slices: int
    volunteers: int


class Tally:
    """Counts what rows hold, as they are read."""

    def __init__(self) -> None:
        self.rows = self.open_lines = self.closed_lines = self.absent = self.dropped_points = 0
        self.marks: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.drawing_tasks: set[tuple[int, str]] = set()

    def add(self, found: Classification) -> None:
        """Count the marks of a row in order."""
        closed = [stroke.closed for own in found.drawn.values() for stroke in own]
        self.closed_lines += sum(closed)
        self.open_lines += len(closed) - sum(closed)
        self.absent += not found.drawn
        self.dropped_points += found.lost_points
        self.marks.update(found.kinds)
        self.dropped.update(found.lost_marks)

    def summary(self, chosen: Sequence[CountedVote], reasons: Mapping[Reason, int]) -> Summary:
        """All counts, with the votes that were `chosen` and the rows not used by their reason."""
        slices = {(piece.region, piece.z) for _, piece in chosen}
        return Summary(
            rows=self.rows,
            marks=dict(sorted(self.marks.items())),
            open_lines=self.open_lines,
            closed_lines=self.closed_lines,
            absent=self.absent,
            rejected={k: n for k, n in sorted(reasons.items()) if k not in LEFT_OUT},
            left_out={k: n for k, n in sorted(reasons.items()) if k in LEFT_OUT},
            dropped_marks=dict(sorted(self.dropped.items())),
            dropped_points=self.dropped_points,
            votes=len(chosen),
            slices=len(slices),
            volunteers=len({said.volunteer for said, _ in chosen}),
        )

"""Counts of what an export holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from volproc.stages.annotate.export.rejections import LEFT_OUT, Reason
from volproc.stages.annotate.export.vote_selection import CountedVote
from volproc.stages.annotate.export.zooniverse import Classification


@dataclass(frozen=True)
class Summary:
    """What an export held. Marks, lines, points and empty votes are those of usable rows."""

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


@dataclass
class Tally:
    """Counts what rows hold, as they are read."""

    rows: int = 0
    open_lines: int = 0
    closed_lines: int = 0
    absent: int = 0
    dropped_points: int = 0
    marks: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    drawing_tasks: set[tuple[int, str]] = field(default_factory=set)

    def add(self, found: Classification) -> None:
        """Count the marks of a usable row."""
        closed = [stroke.closed for own in found.drawn.values() for stroke in own]
        self.closed_lines += sum(closed)
        self.open_lines += len(closed) - sum(closed)
        self.absent += not found.drawn
        self.dropped_points += found.lost_points
        self.marks.update(found.kinds)
        self.dropped.update(found.lost_marks)

    def summary(self, votes: Sequence[CountedVote], reasons: Mapping[Reason, int]) -> Summary:
        """All counts, with the votes that count and the rows not used by their reason."""
        unused = sorted(reasons.items())
        return Summary(
            rows=self.rows,
            marks=dict(sorted(self.marks.items())),
            open_lines=self.open_lines,
            closed_lines=self.closed_lines,
            absent=self.absent,
            rejected={k: n for k, n in unused if k not in LEFT_OUT},
            left_out={k: n for k, n in unused if k in LEFT_OUT},
            dropped_marks=dict(sorted(self.dropped.items())),
            dropped_points=self.dropped_points,
            votes=len(votes),
            slices=len({(drawing.region, drawing.z) for _, drawing in votes}),
            volunteers=len({record.volunteer for record, _ in votes}),
        )

"""Which votes of an export count: one person has one vote on a slice.

Of several classifications of a subject by one person the first counts, as in Zooniverse's own
tools, or the last, by option; so do votes of one person on one slice through several subjects, but
there one on the frame that was shown comes before one on another frame. The order is that of
`created_at`, then of the classifications' numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from volproc.errors import AnnotateError
from volproc.grid.box import Box
from volproc.stages.annotate.export.rejections import Reason, Rejection

MAIN_SHARE = 0.9
"""Share of the votes from which on a region is the one that the volume shows."""
MAX_NAMED = 5
"""Regions that a message names."""

Duplicates = Literal["first", "last"]


@dataclass(frozen=True, slots=True)
class StoredDrawing:
    """A drawing on one slice: its strokes are stored from `offset` on, in `size` bytes."""

    region: str
    box: Box
    z: int
    shown: bool
    assumed: bool
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ClassificationRecord:
    """A classification without its strokes.

    `silent`: tasks that it left empty, of which it is not known whether they ask for drawings;
    none where it drew something or is known to have drawn nothing.
    """

    row: int
    number: int
    created_at: str
    volunteer: str
    subject: str
    workflow: int
    silent: frozenset[str]
    drawings: tuple[StoredDrawing, ...]

    @property
    def order(self) -> tuple[str, int, int]:
        """Sorts by time."""
        return self.created_at, self.number, self.row

    def rejection(self, reason: Reason, detail: str) -> Rejection:
        """This one, not used."""
        return Rejection(self.row, str(self.number), reason, detail)


Selection = tuple[list[ClassificationRecord], list[Rejection]]
"""Those that are kept, and why others are not."""
CountedVote = tuple[ClassificationRecord, StoredDrawing]


def drop_unclear(
    records: Iterable[ClassificationRecord], *, drawing_tasks: Collection[tuple[int, str]]
) -> Selection:
    """Without empty answers to tasks in which nobody drew; `drawing_tasks` are (workflow, task)."""

    def fault(one: ClassificationRecord) -> Rejection | None:
        if not one.silent or any((one.workflow, task) in drawing_tasks for task in one.silent):
            return None
        return one.rejection("no drawing task", f"nobody drew in {', '.join(sorted(one.silent))}")

    return _selection(records, fault)


def drop_misplaced(records: Sequence[ClassificationRecord]) -> Selection:
    """Without those whose region lies elsewhere than most classifications of the region state."""
    places: dict[str, Counter[Box]] = {}
    for record in records:
        for drawing in record.drawings:
            places.setdefault(drawing.region, Counter())[drawing.box] += 1
    usual = {
        name: min(boxes, key=lambda box: (-boxes[box], box.start, box.stop))
        for name, boxes in places.items()
    }

    def fault(one: ClassificationRecord) -> Rejection | None:
        odd = next((d for d in one.drawings if d.box != usual[d.region]), None)
        detail = f"region {odd.region} at {odd.box}, elsewhere in most rows" if odd else ""
        return one.rejection("unknown region", detail) if odd else None

    return _selection(records, fault)


def drop_other_regions(records: Sequence[ClassificationRecord]) -> Selection:
    """Those of one region, where nobody states where regions lie: then it is the whole volume.

    Others would lie on it. They may be up to a tenth; AnnotateError if they are more.
    """
    regions = Counter(d.region for one in records for d in one.drawings if d.assumed)
    if len(regions) < 2:
        return list(records), []
    name, count = min(regions.items(), key=lambda item: (-item[1], item[0]))
    if count < MAIN_SHARE * regions.total():
        names = sorted(regions)
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        raise AnnotateError(
            f"the export's {len(names)} regions, {', '.join(names[:MAX_NAMED])}{more}, would lie "
            "on one another; give their places with --manifest, or the region that the volume "
            "shows with --rois ([annotate] manifest, rois)"
        )

    def fault(one: ClassificationRecord) -> Rejection | None:
        if all(drawing.region == name for drawing in one.drawings if drawing.assumed):
            return None
        return one.rejection("unknown region", f"nearly all rows are of {name}")

    return _selection(records, fault)


def _selection(
    records: Iterable[ClassificationRecord],
    fault: Callable[[ClassificationRecord], Rejection | None],
) -> Selection:
    judged = [(record, fault(record)) for record in records]
    return [one for one, why in judged if why is None], [why for _, why in judged if why]


def one_vote_each(
    records: Iterable[ClassificationRecord], *, duplicates: Duplicates
) -> tuple[list[CountedVote], list[Rejection]]:
    """One vote of a person on a slice; and the classifications of which nothing is left."""
    best_first = sorted(records, key=lambda one: one.order, reverse=duplicates == "last")
    subjects: dict[tuple[str, str], ClassificationRecord] = {}
    rejected = []
    for one in best_first:
        counts = subjects.setdefault((one.volunteer, one.subject), one)
        if counts is not one:
            rejected.append(_again(one, counts))
    votes: dict[tuple[str, str, int], CountedVote] = {}
    pairs = [(one, drawing) for one in subjects.values() for drawing in one.drawings]
    for one, own in sorted(pairs, key=lambda pair: not pair[1].shown):  # stable: best first
        votes.setdefault((one.volunteer, own.region, own.z), (one, own))
    used = {one.row for one, _ in votes.values()}
    for one in subjects.values():
        if one.row not in used:
            own = one.drawings[0]
            rejected.append(_again(one, votes[one.volunteer, own.region, own.z][0]))
    return list(votes.values()), sorted(rejected, key=lambda one: one.row)


def _again(one: ClassificationRecord, counts: ClassificationRecord) -> Rejection:
    return one.rejection("drawn again", f"classification {counts.number} of that person counts")

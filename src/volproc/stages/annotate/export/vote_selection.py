"""Which votes of an export count: one person has one vote on a slice.

Of several classifications of a subject by one person the first counts, as in Zooniverse's own
tools, or the last, by option; so do votes of one person on one slice through several subjects, but
there one on the frame that was shown comes before one on another frame. The order is that of
`created_at`, then of the classifications' numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from volproc.errors import AnnotateError
from volproc.grid.box import Box
from volproc.stages.annotate.export.rejections import Reason, Rejection

MOST = 0.9
"""Share of the votes from which a region is the one that the volume shows."""
NAMED = 5
"""Regions that a message names."""

Duplicates = Literal["first", "last"]


@dataclass(frozen=True, slots=True)
class StoredDrawing:
    """One slice that somebody voted on: `offset` and `size` tell where the strokes are kept."""

    region: str
    box: Box
    z: int
    shown: bool
    assumed: bool
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ClassificationRecord:
    """What one classification says, without its strokes.

    `silent`: tasks that it left empty, of which it is not known whether they ask for drawings;
    none where it says something in any case.
    """

    row: int
    number: int
    created_at: str
    volunteer: str
    subject: str
    workflow: int
    silent: frozenset[str]
    pieces: tuple[StoredDrawing, ...]

    @property
    def order(self) -> tuple[str, int, int]:
        """Sorts by time."""
        return self.created_at, self.number, self.row

    def rejected(self, reason: Reason, detail: str) -> Rejection:
        """This one, not used."""
        return Rejection(self.row, str(self.number), reason, detail)


CountedVote = tuple[ClassificationRecord, StoredDrawing]


def certain(
    all_said: Iterable[ClassificationRecord], *, drawing_tasks: Collection[tuple[int, str]]
) -> tuple[list[ClassificationRecord], list[Rejection]]:
    """Those that say something: an empty answer counts if others drew in that task, if any did.

    `drawing_tasks` are (workflow, task).
    """
    kept, rejected = [], []
    for said in all_said:
        if said.silent and not any((said.workflow, task) in drawing_tasks for task in said.silent):
            detail = f"nobody drew in {', '.join(sorted(said.silent))}"
            rejected.append(said.rejected("no drawing task", detail))
        else:
            kept.append(said)
    return kept, rejected


def agreeing(
    all_said: Iterable[ClassificationRecord],
) -> tuple[list[ClassificationRecord], list[Rejection]]:
    """Those whose regions lie where most classifications of the region say they do."""
    all_said = list(all_said)
    places: dict[str, Counter[Box]] = {}
    for said in all_said:
        for piece in said.pieces:
            places.setdefault(piece.region, Counter())[piece.box] += 1
    usual = {name: _most_frequent(boxes) for name, boxes in places.items()}
    kept, rejected = [], []
    for said in all_said:
        odd = next((p for p in said.pieces if p.box != usual[p.region]), None)
        if odd:
            detail = f"region {odd.region} at {odd.box}, elsewhere in most rows"
            rejected.append(said.rejected("unknown region", detail))
        else:
            kept.append(said)
    return kept, rejected


def in_one_region(
    all_said: Iterable[ClassificationRecord],
) -> tuple[list[ClassificationRecord], list[Rejection]]:
    """Those of one region, where nobody says where regions lie: then it is the whole volume.

    Others would lie on it. They may be up to a tenth; AnnotateError if they are more.
    """
    all_said = list(all_said)
    regions = Counter(p.region for said in all_said for p in said.pieces if p.assumed)
    if len(regions) < 2:
        return all_said, []
    name, count = min(regions.items(), key=lambda item: (-item[1], item[0]))
    if count < MOST * regions.total():
        names = sorted(regions)
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise AnnotateError(
            f"the export's {len(names)} regions, {', '.join(names[:NAMED])}{more}, would lie on "
            "one another; say where they lie with --manifest, or which of them the volume is with "
            "--rois ([annotate] manifest, rois)"
        )
    kept, rejected = [], []
    for said in all_said:
        if all(piece.region == name for piece in said.pieces if piece.assumed):
            kept.append(said)
        else:
            rejected.append(said.rejected("unknown region", f"nearly all rows are of {name}"))
    return kept, rejected


def one_each(
    all_said: Iterable[ClassificationRecord], *, duplicates: Duplicates
) -> tuple[list[CountedVote], list[Rejection]]:
    """One vote of a person on a slice; and the classifications of which nothing is left."""
    best_first = sorted(all_said, key=lambda said: said.order, reverse=duplicates == "last")
    subjects: dict[tuple[str, str], ClassificationRecord] = {}
    rejected = []
    for said in best_first:
        counts = subjects.setdefault((said.volunteer, said.subject), said)
        if counts is not said:
            rejected.append(_again(said, counts))
    votes: dict[tuple[str, str, int], CountedVote] = {}
    pairs = [(said, piece) for said in subjects.values() for piece in said.pieces]
    for said, piece in sorted(pairs, key=lambda pair: not pair[1].shown):  # stable: best first
        votes.setdefault((said.volunteer, piece.region, piece.z), (said, piece))
    used = {said.row for said, _ in votes.values()}
    for said in subjects.values():
        if said.row not in used:
            piece = said.pieces[0]
            counts = votes[said.volunteer, piece.region, piece.z][0]
            rejected.append(_again(said, counts))
    return list(votes.values()), sorted(rejected, key=lambda one: one.row)


def _again(said: ClassificationRecord, counts: ClassificationRecord) -> Rejection:
    return said.rejected("drawn again", f"classification {counts.number} of that person counts")


def _most_frequent(boxes: Mapping[Box, int]) -> Box:
    return min(boxes, key=lambda box: (-boxes[box], box.start, box.stop))

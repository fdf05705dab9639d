"""From an export to votes on slices: sorted, one per volunteer and slice, in files of blocks.

The strokes go to a temporary file as they are read; memory holds where in that file each is.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import IO

from volproc.drawing import SliceVotes, Vote
from volproc.engine.events import ProgressMeter, Watcher
from volproc.errors import AnnotateError
from volproc.faults import understanding
from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.stages.annotate.export.export_summary import Summary, Tally
from volproc.stages.annotate.export.rejections import Rejection, RejectionList, UnusableRow
from volproc.stages.annotate.export.slice_locator import WAY_OUT, PlacedDrawing, SliceLocator
from volproc.stages.annotate.export.subject_metadata import Manifest
from volproc.stages.annotate.export.vote_selection import (
    ClassificationRecord,
    CountedVote,
    StoredDrawing,
    drop_misplaced,
    drop_other_regions,
    drop_unclear,
    one_vote_each,
)
from volproc.stages.annotate.export.vote_store import pack_strokes, unpack_strokes, write_votes
from volproc.stages.annotate.export.zooniverse import Classification, read_export
from volproc.stages.annotate.options import AnnotateOptions
from volproc.volume.display_window import GOLDEN
from volproc.volume.file_io import read_file, write_file
from volproc.volume.metadata import PositionNm

ENOUGH_SLICES = 30
"""Slices of a volunteer that tell how well they draw: the median of more is the same."""
MAX_NAMED = 5
"""Reasons that a message names."""
MB = 10**6


@dataclass(frozen=True)
class VoteIndex:
    """The blocks of slices that have votes, and what the export held.

    `telling` are blocks that show ENOUGH_SLICES of every volunteer, or all that there are.
    """

    blocks: tuple[int, ...]
    telling: tuple[int, ...]
    summary: Summary


def store_votes(
    url: str,
    folder: str,
    options: AnnotateOptions,
    *,
    volume: Box,
    voxel_nm: VoxelNm | None = None,
    corner_nm: PositionNm = (0.0, 0.0, 0.0),
    manifest: Manifest | None = None,
    watchers: Sequence[Watcher] = (),
) -> VoteIndex:
    """Writes the votes of the export at `url` to `folder`, and rejected.csv; votes.json last.

    `volume` is the box of the image, `voxel_nm` its voxels and `corner_nm` its corner, to be
    compared with what subjects state. AnnotateError if `url` is no export, or nothing in it can be
    used.
    """
    places = SliceLocator(
        options, volume=volume, voxel_nm=voxel_nm, corner_nm=corner_nm, manifest=manifest
    )
    rejected, tally = RejectionList(), Tally()
    with tempfile.TemporaryFile() as file:
        strokes = _StrokeFile(file)
        for found in watched(url, options, watchers):
            placed = _placed(found, places, tally)
            if isinstance(placed, Rejection):
                rejected.add(placed)
            else:
                strokes.add(*placed)
        votes = _counted(strokes.records, options, tally, rejected)
        write_file(f"{folder}/rejected.csv", rejected.csv())
        _require_votes(url, votes, rejected)
        with ProgressMeter("sort the votes", watchers) as tell:
            blocks = tuple(_write_blocks(votes, folder, strokes, options.block_slices, tell))
    telling = telling_blocks(votes, options.block_slices)
    index = VoteIndex(blocks, telling, tally.summary(votes, rejected.reasons))
    write_file(f"{folder}/votes.json", json.dumps(asdict(index), indent=1).encode())
    return index


def read_vote_index(folder: str) -> VoteIndex:
    """What `store_votes` found, from `folder`; VolumeError if it was not finished there."""
    name = f"{folder}/votes.json"
    content = read_file(name)
    damaged = f"{name} is damaged ({{}}); remove its folder, and the same command makes it again"
    with understanding(AnnotateError, damaged):
        found = json.loads(content)
        summary = Summary(**found["summary"])
        return VoteIndex(tuple(found["blocks"]), tuple(found["telling"]), summary)


@dataclass(frozen=True)
class _StrokeFile:
    """Classifications; their strokes are in a file."""

    file: IO[bytes]
    records: list[ClassificationRecord] = field(default_factory=list)

    def add(self, found: Classification, placed: Iterable[PlacedDrawing]) -> None:
        known = found.absent or found.drawn
        record = ClassificationRecord(
            row=found.row,
            number=found.number,
            created_at=found.created_at,
            volunteer=sys.intern(found.volunteer),
            subject=sys.intern(found.subject),
            workflow=found.workflow,
            silent=frozenset() if known else found.silent,
            drawings=tuple(map(self._stored, placed)),
        )
        self.records.append(record)

    def _stored(self, one: PlacedDrawing) -> StoredDrawing:
        packed, offset = pack_strokes(one.strokes), self.file.tell()
        self.file.write(packed)
        region = sys.intern(one.region)
        return StoredDrawing(region, one.box, one.z, one.shown, one.assumed, offset, len(packed))

    def vote(self, record: ClassificationRecord, drawing: StoredDrawing) -> Vote:
        self.file.seek(drawing.offset)
        return Vote(record.volunteer, unpack_strokes(self.file.read(drawing.size)))


def watched(
    url: str,
    options: AnnotateOptions,
    watchers: Sequence[Watcher],
    *,
    step: str = "read the export, MB",
) -> Iterator[Classification | Rejection]:
    """The rows of an export; watchers hear how far it is read."""
    rows = 0
    with ProgressMeter(step, watchers) as tell:

        def at(done: int, total: int) -> None:
            tell(-(-done // MB), -(-total // MB), f"{rows:,} rows")

        for found in read_export(url, options, at=at):
            rows += 1
            yield found


def _placed(
    found: Classification | Rejection, places: SliceLocator, tally: Tally
) -> tuple[Classification, tuple[PlacedDrawing, ...]] | Rejection:
    """A row and where it belongs, counted; or why it is not used."""
    tally.rows += 1
    if isinstance(found, Rejection):
        tally.dropped.update(found.marks)
        return found
    tally.drawing_tasks.update((found.workflow, task) for task in found.asked)
    try:
        placed = places.place(found)
    except UnusableRow as why:
        return Rejection(found.row, str(found.number), why.reason, why.detail)
    tally.add(found)
    return found, placed


def _counted(
    records: list[ClassificationRecord],
    options: AnnotateOptions,
    tally: Tally,
    rejected: RejectionList,
) -> list[CountedVote]:
    """The votes that count, in the order of slices, regions and volunteers."""
    kept, silent = drop_unclear(records, drawing_tasks=tally.drawing_tasks)
    tally.absent -= len(silent)
    kept, moved = drop_misplaced(kept)
    kept, others = drop_other_regions(kept)
    votes, again = one_vote_each(kept, duplicates=options.duplicates)
    for one in (*silent, *moved, *others, *again):
        rejected.add(one)
    return sorted(votes, key=lambda vote: (*_slice_of(vote), vote[0].volunteer))


def _slice_of(vote: CountedVote) -> tuple[int, tuple[int, ...], str]:
    _, drawing = vote
    return drawing.z, drawing.box.start, drawing.region


def _require_votes(url: str, votes: Sequence[CountedVote], rejected: RejectionList) -> None:
    if not votes:
        reasons = [reason for reason, _ in rejected.reasons.most_common(MAX_NAMED)]
        stated = ", ".join(map(rejected.described, reasons)) or "it has none"
        way_out = f"; {WAY_OUT}" if "no slice" in rejected.reasons else ""
        raise AnnotateError(f"no row of {url} can be used: {stated}{way_out}")


def _write_blocks(
    votes: Sequence[CountedVote], folder: str, strokes: _StrokeFile, size: int, tell: ProgressMeter
) -> Iterator[int]:
    done = 0
    for block, own in groupby(votes, key=lambda vote: vote[1].z // size):
        slices = [_slice(list(same), strokes) for _, same in groupby(own, _slice_of)]
        write_votes(folder, block, slices)
        done += sum(len(one.votes) for one in slices)
        tell(done, len(votes))
        yield block


def telling_blocks(votes: Iterable[CountedVote], size: int) -> tuple[int, ...]:
    """Blocks of `size` slices, spread over all, that show ENOUGH_SLICES of every volunteer."""
    counts = defaultdict[int, Counter[str]](Counter)
    for record, drawing in votes:
        counts[drawing.z // size][record.volunteer] += 1
    seen, telling = Counter[str](), []
    # multiples of the golden ratio, less their whole part, lie spread however many they are
    for block in sorted(counts, key=lambda block: block * GOLDEN % 1):
        if any(seen[volunteer] < ENOUGH_SLICES for volunteer in counts[block]):
            telling.append(block)
            seen += counts[block]
    return tuple(sorted(telling))


def _slice(votes: Sequence[CountedVote], strokes: _StrokeFile) -> SliceVotes:
    _, first = votes[0]
    (_, y, x), (_, height, width) = first.box.start, first.box.shape
    drawn = tuple(strokes.vote(*vote) for vote in votes)
    return SliceVotes(first.z, (y, x), (height, width), drawn, first.region)

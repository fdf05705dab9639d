"""From an export to votes on slices: sorted, one per volunteer and slice, in files of blocks.

The strokes go to a temporary file as they are read; in memory stays where they lie there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import IO

from volproc.config import AnnotateOptions
from volproc.drawing import SliceVotes, Vote
from volproc.errors import AnnotateError
from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.stages.annotate.choose import (
    Chosen,
    Piece,
    Said,
    agreeing,
    certain,
    in_one_region,
    one_each,
)
from volproc.stages.annotate.manifest import Manifest
from volproc.stages.annotate.places import Placed, Places
from volproc.stages.annotate.rejected import LEFT_OUT, Rejected, RejectedList, Unusable
from volproc.stages.annotate.votes import pack_strokes, unpack_strokes, write_votes
from volproc.stages.annotate.zooniverse import Classification, read_export
from volproc.volume.files import read_file, write_file

NAMED = 5
"""Reasons that a message names."""


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


@dataclass(frozen=True)
class Gathered:
    """The blocks of slices that have votes, and what the export held."""

    blocks: tuple[int, ...]
    summary: Summary


def gather(
    url: str,
    folder: str,
    options: AnnotateOptions,
    *,
    volume: Box,
    voxel_nm: VoxelNm | None = None,
    manifest: Manifest | None = None,
    bezier_tools: Collection[int] = (),
) -> Gathered:
    """Store the votes of the export at `url` in `folder`, and rejected.csv, and votes.json last.

    `volume` is the box of the image; `voxel_nm` its voxels, to be compared with the subjects'.
    AnnotateError if `url` is no export, or nothing in it can be used.
    """
    places = Places(options, volume=volume, voxel_nm=voxel_nm, manifest=manifest)
    rejected, tally = RejectedList(), _Tally()
    with tempfile.TemporaryFile() as file:
        shelf = _Shelf(file)
        for found in read_export(url, options, bezier_tools=bezier_tools):
            taken = _taken(found, places, tally)
            if isinstance(taken, Rejected):
                rejected.add(taken)
            else:
                shelf.keep(*taken)
        chosen = _chosen(shelf.said, options, tally, rejected)
        write_file(f"{folder}/rejected.csv", rejected.csv())
        _require_votes(url, chosen, rejected)
        blocks = tuple(_write_blocks(chosen, folder, shelf, size=options.block_slices))
    gathered = Gathered(blocks, tally.summary(chosen, rejected.reasons))
    write_file(f"{folder}/votes.json", json.dumps(asdict(gathered), indent=1).encode())
    return gathered


def read_gathered(folder: str) -> Gathered:
    """What `gather` found, from `folder`; VolumeError if it did not come to its end there."""
    found = json.loads(read_file(f"{folder}/votes.json"))
    return Gathered(tuple(found["blocks"]), Summary(**found["summary"]))


class _Tally:
    """Counts what rows hold."""

    def __init__(self) -> None:
        self.rows = self.open_lines = self.closed_lines = self.absent = self.dropped_points = 0
        self.marks: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.drawing_tasks: set[tuple[int, str]] = set()

    def add(self, found: Classification) -> None:
        closed = [stroke.closed for own in found.drawn.values() for stroke in own]
        self.closed_lines += sum(closed)
        self.open_lines += len(closed) - sum(closed)
        self.absent += not found.drawn
        self.dropped_points += found.lost_points
        self.marks.update(found.kinds)
        self.dropped.update(found.lost_marks)

    def summary(self, chosen: Sequence[Chosen], reasons: Counter[str]) -> Summary:
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


class _Shelf:
    """Classifications, their strokes in a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self.said: list[Said] = []
        self._file = file

    def keep(self, found: Classification, placed: Iterable[Placed]) -> None:
        known = found.absent or found.drawn
        self.said.append(
            Said(
                row=found.row,
                number=found.number,
                created_at=found.created_at,
                volunteer=sys.intern(found.volunteer),
                subject=sys.intern(found.subject),
                workflow=found.workflow,
                silent=frozenset() if known else found.silent,
                pieces=tuple(map(self._piece, placed)),
            )
        )

    def _piece(self, vote: Placed) -> Piece:
        packed = pack_strokes(vote.strokes)
        offset = self._file.tell()
        self._file.write(packed)
        region = sys.intern(vote.region)
        return Piece(region, vote.box, vote.z, vote.shown, vote.assumed, offset, len(packed))

    def vote(self, said: Said, piece: Piece) -> Vote:
        self._file.seek(piece.offset)
        return Vote(said.volunteer, unpack_strokes(self._file.read(piece.size)))


def _taken(
    found: Classification | Rejected, places: Places, tally: _Tally
) -> tuple[Classification, tuple[Placed, ...]] | Rejected:
    """A row and where it belongs, counted; or why it is not used."""
    tally.rows += 1
    if isinstance(found, Rejected):
        tally.dropped.update(found.marks)
        return found
    tally.drawing_tasks.update((found.workflow, task) for task in found.asked)
    try:
        placed = places.place(found)
    except Unusable as why:
        return Rejected(found.row, str(found.number), why.reason, why.detail)
    tally.add(found)
    return found, placed


def _chosen(
    all_said: list[Said], options: AnnotateOptions, tally: _Tally, rejected: RejectedList
) -> list[Chosen]:
    """The votes that count, in the order of slices, regions and volunteers."""
    kept, silent = certain(all_said, drawing_tasks=tally.drawing_tasks)
    tally.absent -= len(silent)
    kept, moved = agreeing(kept)
    kept, others = in_one_region(kept)
    votes, again = one_each(kept, duplicates=options.duplicates)
    for one in (*silent, *moved, *others, *again):
        rejected.add(one)
    return sorted(votes, key=lambda vote: (*_slice_of(vote), vote[0].volunteer))


def _slice_of(vote: Chosen) -> tuple[int, tuple[int, ...], str]:
    _, piece = vote
    return piece.z, piece.box.start, piece.region


def _require_votes(url: str, chosen: Sequence[Chosen], rejected: RejectedList) -> None:
    if not chosen:
        reasons = rejected.reasons.most_common(NAMED)
        said = ", ".join(f"{reason} ({count} rows)" for reason, count in reasons)
        raise AnnotateError(f"no row of {url} can be used: {said or 'it has none'}")


def _write_blocks(
    chosen: Sequence[Chosen], folder: str, shelf: _Shelf, *, size: int
) -> Iterator[int]:
    for block, own in groupby(chosen, key=lambda vote: vote[1].z // size):
        write_votes(folder, block, [_slice(votes, shelf) for _, votes in groupby(own, _slice_of)])
        yield block


def _slice(votes: Iterable[Chosen], shelf: _Shelf) -> SliceVotes:
    votes = list(votes)
    _, piece = votes[0]
    (_, y, x), (_, height, width) = piece.box.start, piece.box.shape
    drawn = tuple(shelf.vote(*vote) for vote in votes)
    return SliceVotes(piece.z, (y, x), (height, width), drawn, piece.region)

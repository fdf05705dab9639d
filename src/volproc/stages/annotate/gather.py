"""From an export to votes on slices: sorted, one per volunteer and slice, in files of blocks.

The strokes go to a temporary file as they are read; in memory stays where they lie there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import IO

from volproc.drawing import SliceVotes, Vote
from volproc.engine.events import ProgressMeter, Watcher
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
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.places import WAY_OUT, Placed, Places
from volproc.stages.annotate.rejected import Rejected, RejectedList, Unusable
from volproc.stages.annotate.tally import Summary, Tally
from volproc.stages.annotate.votes import pack_strokes, unpack_strokes, write_votes
from volproc.stages.annotate.zooniverse import Classification, read_export
from volproc.volume.file_io import read_file, write_file

ENOUGH = 30
"""Slices of a volunteer that tell how well they draw: the median of more says the same."""
GOLDEN = 0.6180339887498949
"""Multiples of it, less their whole part, lie spread over 0 to 1 however many they are."""
NAMED = 5
"""Reasons that a message names."""
MB = 10**6


@dataclass(frozen=True)
class Gathered:
    """The blocks of slices that have votes, and what the export held.

    `telling` are blocks that show ENOUGH slices of every volunteer, or all that there are.
    """

    blocks: tuple[int, ...]
    telling: tuple[int, ...]
    summary: Summary


def gather(
    url: str,
    folder: str,
    options: AnnotateOptions,
    *,
    volume: Box,
    voxel_nm: VoxelNm | None = None,
    manifest: Manifest | None = None,
    watchers: Sequence[Watcher] = (),
) -> Gathered:
    """Store the votes of the export at `url` in `folder`, and rejected.csv, and votes.json last.

    `volume` is the box of the image; `voxel_nm` its voxels, to be compared with the subjects'.
    AnnotateError if `url` is no export, or nothing in it can be used.
    """
    places = Places(options, volume=volume, voxel_nm=voxel_nm, manifest=manifest)
    rejected, tally = RejectedList(), Tally()
    with tempfile.TemporaryFile() as file:
        shelf = _Shelf(file)
        for found in watched(url, options, watchers):
            taken = _taken(found, places, tally)
            if isinstance(taken, Rejected):
                rejected.add(taken)
            else:
                shelf.keep(*taken)
        chosen = _chosen(shelf.said, options, tally, rejected)
        write_file(f"{folder}/rejected.csv", rejected.csv())
        _require_votes(url, chosen, rejected)
        with ProgressMeter("sort the votes", watchers) as tell:
            blocks = tuple(_write_blocks(chosen, folder, shelf, options.block_slices, tell))
    telling = telling_blocks(chosen, options.block_slices)
    gathered = Gathered(blocks, telling, tally.summary(chosen, rejected.reasons))
    write_file(f"{folder}/votes.json", json.dumps(asdict(gathered), indent=1).encode())
    return gathered


def read_gathered(folder: str) -> Gathered:
    """What `gather` found, from `folder`; VolumeError if it did not come to its end there."""
    found = json.loads(read_file(f"{folder}/votes.json"))
    blocks, telling = tuple(found["blocks"]), tuple(found["telling"])
    return Gathered(blocks, telling, Summary(**found["summary"]))


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


def watched(
    url: str,
    options: AnnotateOptions,
    watchers: Sequence[Watcher],
    *,
    step: str = "read the export, MB",
) -> Iterator[Classification | Rejected]:
    """The rows of an export; watchers hear how far it is read."""
    rows = 0
    with ProgressMeter(step, watchers) as tell:

        def at(done: int, total: int) -> None:
            tell(-(-done // MB), -(-total // MB), f"{rows:,} rows")

        for found in read_export(url, options, at=at):
            rows += 1
            yield found


def _taken(
    found: Classification | Rejected, places: Places, tally: Tally
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
    all_said: list[Said], options: AnnotateOptions, tally: Tally, rejected: RejectedList
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
        said = ", ".join(map(rejected.said, (r for r, _ in rejected.reasons.most_common(NAMED))))
        way_out = f"; {WAY_OUT}" if "no slice" in rejected.reasons else ""
        raise AnnotateError(f"no row of {url} can be used: {said or 'it has none'}{way_out}")


def _write_blocks(
    chosen: Sequence[Chosen], folder: str, shelf: _Shelf, size: int, tell: ProgressMeter
) -> Iterator[int]:
    done = 0
    for block, own in groupby(chosen, key=lambda vote: vote[1].z // size):
        slices = [_slice(votes, shelf) for _, votes in groupby(own, _slice_of)]
        write_votes(folder, block, slices)
        done += sum(len(one.votes) for one in slices)
        tell(done, len(chosen))
        yield block


def telling_blocks(chosen: Iterable[Chosen], size: int) -> tuple[int, ...]:
    """Blocks of `size` slices, spread over all, that show ENOUGH slices of every volunteer."""
    votes = defaultdict[int, Counter[str]](Counter)
    for said, piece in chosen:
        votes[piece.z // size][said.volunteer] += 1
    seen, telling = Counter[str](), []
    for block in sorted(votes, key=lambda block: block * GOLDEN % 1):
        if any(seen[volunteer] < ENOUGH for volunteer in votes[block]):
            telling.append(block)
            seen += votes[block]
    return tuple(sorted(telling))


def _slice(votes: Iterable[Chosen], shelf: _Shelf) -> SliceVotes:
    votes = list(votes)
    _, piece = votes[0]
    (_, y, x), (_, height, width) = piece.box.start, piece.box.shape
    drawn = tuple(shelf.vote(*vote) for vote in votes)
    return SliceVotes(piece.z, (y, x), (height, width), drawn, piece.region)

"""Votes on disk: one file for the slices of a block, so that a task loads its own only.

Block n holds the slices n * block_slices up to (n + 1) * block_slices of the volume. The same
votes make the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.drawing import SliceVotes, Stroke, Vote
from volproc.errors import AnnotateError
from volproc.faults import understanding
from volproc.volume.file_io import read_file, write_file

Array = npt.NDArray[Any]


def write_votes(folder: str, block: int, slices: Sequence[SliceVotes]) -> None:
    """Store the votes on the slices of a block in `folder`, a path or URL."""
    votes = [vote for one in slices for vote in one.votes]
    content = BytesIO()
    packed = _packed([stroke for vote in votes for stroke in vote.strokes])
    np.savez(
        content,
        slices=np.array([(s.z, *s.origin_yx, *s.shape_yx) for s in slices], np.int64),
        regions=np.array([s.region for s in slices], np.str_),
        votes=np.array([len(s.votes) for s in slices], np.int64),
        volunteers=np.array([vote.volunteer for vote in votes], np.str_),
        strokes=np.array([len(vote.strokes) for vote in votes], np.int64),
        lengths=packed["lengths"],
        closed=packed["closed"],
        points=packed["points"],
    )
    write_file(_name(folder, block), content.getvalue())


def read_votes(folder: str, block: int) -> list[SliceVotes]:
    """What `write_votes` stored, in the same order. VolumeError if there is no such file."""
    name = _name(folder, block)
    content = read_file(name)
    damaged = f"{name} is damaged ({{}}); remove its folder, and the same command makes it again"
    with understanding(AnnotateError, damaged):
        with np.load(BytesIO(content), allow_pickle=False) as file:
            found = dict(file)
        strokes = _unpacked(found)
        votes = [
            Vote(str(name), tuple(own))
            for name, own in zip(
                found["volunteers"], _parts(strokes, found["strokes"]), strict=True
            )
        ]
        return [
            SliceVotes(z, (y, x), (height, width), tuple(own), region)
            for (z, y, x, height, width), region, own in zip(
                found["slices"].tolist(),
                found["regions"].tolist(),
                _parts(votes, found["votes"]),
                strict=True,
            )
        ]


def pack_strokes(strokes: Sequence[Stroke]) -> bytes:
    """Strokes as bytes, quickly."""
    packed = _packed(strokes)
    return np.int32(len(strokes)).tobytes() + b"".join(one.tobytes() for one in packed.values())


def unpack_strokes(packed: bytes) -> tuple[Stroke, ...]:
    """What `pack_strokes` packed."""
    count = int(np.frombuffer(packed, np.int32, 1)[0])
    lengths = np.frombuffer(packed, np.int64, count, offset=4)
    closed = np.frombuffer(packed, np.bool_, count, offset=4 + 8 * count)
    points = np.frombuffer(packed, np.float32, offset=4 + 9 * count).reshape(-1, 2)
    return tuple(_unpacked({"lengths": lengths, "closed": closed, "points": points}))


def _packed(strokes: Sequence[Stroke]) -> dict[str, Array]:
    return {
        "lengths": np.array([len(stroke.points) for stroke in strokes], np.int64),
        "closed": np.array([stroke.closed for stroke in strokes], np.bool_),
        "points": np.concatenate(
            [np.zeros((0, 2), np.float32), *(stroke.points for stroke in strokes)]
        ).astype(np.float32, copy=False),
    }


def _unpacked(arrays: dict[str, Array]) -> list[Stroke]:
    points = np.split(arrays["points"], np.cumsum(arrays["lengths"])[:-1])
    closed = arrays["closed"].tolist()
    return [Stroke(own, shut) for own, shut in zip(points, closed, strict=False)]


def _parts(values: Sequence[Any], lengths: Array) -> Iterator[Sequence[Any]]:
    stops = np.cumsum(lengths).tolist()
    for start, stop in zip([0, *stops], stops, strict=False):
        yield values[start:stop]


def _name(folder: str, block: int) -> str:
    return f"{folder}/votes-{block:06}.npz"

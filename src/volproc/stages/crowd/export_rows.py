"""Rows as Zooniverse exports them, in the format of classifier 1 or 2; and the files they go to.

Coordinates are pixels of the uploaded frame, which has `scale` times the slice's voxels. Each task
writes a file of its own, a part; the run joins them without holding them in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from volproc.drawing import Stroke, Vote
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.location import filesystem_of
from volproc.retry import PatientFile
from volproc.spreadsheet import table_csv
from volproc.volume.access import local_path, reading, remove_file
from volproc.volume.file_io import write_file, write_pieces
from volproc.volume.metadata import PositionNm

COLUMNS = (
    "classification_id", "user_name", "user_id", "user_ip", "workflow_id", "workflow_name",
    "workflow_version", "created_at", "gold_standard", "expert", "metadata", "annotations",
    "subject_data", "subject_ids",
)  # fmt: skip
WORKFLOW = "volproc crowd"
"""The workflow's name in every row: these drawings are made."""
FRAMES = 5
"""Slices shown with a subject; the one in the middle is drawn on."""
FIRST_ID = 100_000_000
PIECE_BYTES = 2**20
BEGAN = datetime(2020, 1, 1, tzinfo=UTC)
QUESTION = "Draw around the nuclear envelope."


@dataclass(frozen=True)
class Export:
    """What the rows of one region have in common: its name, voxels and place, how it was shown."""

    roi: str
    shape: Shape
    voxel_nm: VoxelNm
    scale: float
    classifier: Literal[1, 2]
    volunteers: int
    corner_nm: PositionNm | None = None

    def frames(self, z: int) -> tuple[range, int]:
        """The slices shown with slice `z`, and which of them it is: both count from 0."""
        first = max(0, z - FRAMES // 2)
        return range(first, min(self.shape[0], z + FRAMES // 2 + 1)), z - first

    @property
    def frame_size(self) -> tuple[int, int]:
        """Pixels (y, x) of a frame."""
        rows, columns = (max(1, round(n * self.scale)) for n in self.shape[1:])
        return rows, columns

    def rows(self, z: int, votes: Iterable[Vote]) -> str:
        """The lines of all votes on slice `z`."""
        subject = _text(self._subject(z))
        numbered = enumerate(votes, start=z * self.volunteers)
        return table_csv(
            (), (self._row(z, vote, number, subject) for number, vote in numbered), end="\n"
        )

    def _row(self, z: int, vote: Vote, number: int, subject: str) -> list[str]:
        ended = BEGAN + timedelta(minutes=number)
        address = hashlib.sha256(vote.volunteer.encode()).hexdigest()
        known = not vote.volunteer.startswith("not-logged-in")
        return [
            str(FIRST_ID + number),
            vote.volunteer,
            str(int(address[:6], 16)) if known else "",
            address[:20],
            str(self.classifier),
            WORKFLOW,
            "1.1",
            f"{ended:%Y-%m-%d %H:%M:%S} UTC",
            "",
            "",
            _text(self._metadata(z, ended)),
            _text(self._annotations(z, vote)),
            subject,
            str(self._subject_id(z)),
        ]

    def _subject_id(self, z: int) -> int:
        return FIRST_ID // 10 + z

    def _subject(self, z: int) -> dict[str, Any]:
        """The metadata of a subject, with the keys of Etch-a-Cell's."""
        shown, default = self.frames(z)
        about = {
            "retired": None,
            "Subject ID": f"{self.roi}_z{z + 1:04}",
            **{f"Image {n}": f"{self.roi}_z{one + 1:04}.jpg" for n, one in enumerate(shown)},
            "default_frame": str(default + 1),
            "Microscope": "none: simulated",
            **self._resolution(),
            **self._place(),
            "Scaling factor": f"{self.scale:g}",
            "jpeg quality (%)": "90",
            "Attribution": "simulated by volproc",
            "Description": "Outlines of a known volume, drawn by simulated volunteers",
        }
        return {str(self._subject_id(z)): about}

    def _resolution(self) -> dict[str, str]:
        z, y, x = (f"{nm:g}" for nm in self.voxel_nm)
        xy = {"Raw XY resolution (nm)": x} if y == x else {"voxel_y_nm": y, "voxel_x_nm": x}
        return {**xy, "Raw Z resolution (nm)": z}

    def _place(self) -> dict[str, str]:
        """The region's voxels, and where it lies if the volume says so."""
        lengths = zip(("depth", "height", "width"), self.shape, strict=True)
        corner = zip("zyx", self.corner_nm or (), strict=False)
        return {
            **{f"roi_{name}": str(n) for name, n in lengths},
            **{f"corner_{axis}_nm": f"{nm:.10g}" for axis, nm in corner},
        }

    def _metadata(self, z: int, ended: datetime) -> dict[str, Any]:
        rows, columns = self.frame_size
        one = {
            "clientWidth": columns / 2,
            "clientHeight": rows / 2,
            "naturalWidth": columns,
            "naturalHeight": rows,
        }
        made = {
            "source": "api",
            "started_at": f"{ended - timedelta(minutes=1):%Y-%m-%dT%H:%M:%S}.000Z",
            "finished_at": f"{ended:%Y-%m-%dT%H:%M:%S}.000Z",
            "live_project": False,
            "user_language": "en",
            "utc_offset": "0",
            "subject_dimensions": [one] * len(self.frames(z)[0]),
        }
        return {**made, "classifier_version": "2.0"} if self.classifier == 2 else made

    def _annotations(self, z: int, vote: Vote) -> list[dict[str, Any]]:
        mark = _mark_1 if self.classifier == 1 else _mark_2
        frame = self.frames(z)[1]
        ratio = np.array(self.frame_size) / self.shape[1:]
        marks = [mark(_pixels(stroke, ratio), frame) for stroke in vote.strokes]
        return [{"task": "T0", "task_label": QUESTION, "value": marks}]


def header() -> str:
    """The first line of an export."""
    return ",".join(COLUMNS) + "\n"


def _pixels(stroke: Stroke, ratio: Any) -> list[list[float]]:
    """Points (y, x) of a stroke in pixels, as fine as browsers report them."""
    pixels: list[list[float]] = np.round(stroke.points * ratio, 2).tolist()
    return pixels


def _mark_1(pixels: list[list[float]], frame: int) -> dict[str, Any]:
    points = [{"x": x, "y": y} for y, x in pixels]
    return {"tool": 0, "tool_label": "Envelope", "frame": frame, "points": points, "details": []}


def _mark_2(pixels: list[list[float]], frame: int) -> dict[str, Any]:
    y, x = ([p[axis] for p in pixels] for axis in (0, 1))
    return {
        "toolIndex": 0,
        "toolType": "freehandLine",
        "frame": frame,
        "pathX": x,
        "pathY": y,
        "details": [],
    }


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True)
class Parts:
    """The folder of the parts, at any path or fsspec URL."""

    folder: str

    def save(self, index: int, rows: str) -> None:
        """Keep the part of block `index`; there whole or not at all."""
        write_file(self._url(index), rows.encode())

    def join(self, url: str, indices: Iterable[int], *, first: str) -> None:
        """Make the file `url` of the line `first` and the parts, in the order of `indices`."""
        write_pieces(url, self._pieces(first, indices))

    def remove(self, indices: Iterable[int]) -> None:
        """Remove the parts, and the folder if nothing else is in it."""
        for index in indices:
            remove_file(self._url(index))
        folder = local_path(self.folder)
        if folder:
            with suppress(OSError):
                folder.rmdir()

    def _pieces(self, first: str, indices: Iterable[int]) -> Iterator[bytes]:
        yield first.encode()
        for index in indices:
            filesystem, path = filesystem_of(self._url(index))
            with reading(self._url(index)), PatientFile(filesystem.open, path, "rb") as part:
                while piece := part.read(PIECE_BYTES):
                    yield piece

    def _url(self, index: int) -> str:
        return f"{self.folder}/{index:06}.csv"

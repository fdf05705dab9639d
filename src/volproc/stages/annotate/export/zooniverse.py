"""Classification exports of Zooniverse: who drew what on which frame of which subject.

Text of an export is read as JSON and never evaluated. Volunteers are known by pseudonyms only from
here on: the first 16 digits of SHA-256 over SALT, a colon and who they are, which is `user_id` of
those logged in, else `user_name`, else `user_ip`. The salt is public so that results can be
reproduced; whoever has a list of Zooniverse's users can tell who is who.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import fsspec

from volproc.drawing import Stroke
from volproc.errors import AnnotateError
from volproc.location import filesystem_of
from volproc.stages.annotate.export.csv_rows import CsvRow, read_rows
from volproc.stages.annotate.export.drawing_tasks import DrawingTasks, FrameMarks
from volproc.stages.annotate.export.marks import MAX_COORDINATE, Size
from volproc.stages.annotate.export.rejections import MarkFault, Rejection, UnusableRow
from volproc.stages.annotate.export.subject_metadata import (
    first_positive,
    reading,
    text_of,
    whole_number,
)
from volproc.stages.annotate.options import AnnotateOptions

SALT = "volproc"
NEEDED = (
    "classification_id", "workflow_id", "workflow_version", "created_at",
    "metadata", "annotations", "subject_data",
)  # fmt: skip
"""Columns without which nothing can be read."""
PEOPLE = ("user_id", "user_name", "user_ip")
"""Columns that tell volunteers apart, the best one first; one is needed."""


@dataclass(frozen=True)
class Classification:
    """What one volunteer drew on one subject, in natural pixels of its frames.

    Frames count from 0. `drawn` holds the strokes of each frame that has any. `sizes` are (height,
    width) of the frames, None where unknown. `asked`: the tasks known to ask for drawings;
    `silent`: those without marks of which it is not known. `absent`: a vote that there is nothing
    to draw on the frame `shown`, because tasks ask for drawings and nothing was drawn.
    """

    row: int
    number: int
    volunteer: str
    subject: str
    workflow: int
    version: str
    created_at: str
    metadata: Mapping[str, Any]
    shown: int
    drawn: Mapping[int, tuple[Stroke, ...]]
    sizes: tuple[Size | None, ...]
    absent: bool
    asked: frozenset[str]
    silent: frozenset[str]
    kinds: tuple[str, ...] = ()
    lost_marks: tuple[MarkFault, ...] = ()
    lost_points: int = 0


def read_export(
    url: str, options: AnnotateOptions, *, at: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[Classification | Rejection]:
    """Every row of the CSV at a path or URL (.gz too) in their order, in bounded memory.

    A row that cannot be used comes back with its reason. AnnotateError if the file cannot be read
    or is no classification export. `at` hears how many of the file's bytes are read.
    """
    filesystem, path = filesystem_of(url)
    with ExitStack() as stack:
        with reading(f"export {url}"):
            total = filesystem.size(path) or 0
            opened = fsspec.core.OpenFile(filesystem, path, compression="infer")
            file = stack.enter_context(opened)
        stored = opened.fobjects[0]  # before it is unpacked

        def read(size: int) -> bytes:
            with reading(f"export {url}"):
                piece: bytes = file.read(size)
                at(stored.tell(), total)
            return piece

        rows = read_rows(read)
        columns = _columns(url, next(rows, None))
        for row in rows:
            yield _read_row(row, columns, options)


def _columns(url: str, header: CsvRow | None) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in header.fields) if header else ()
    missing = [name for name in NEEDED if name not in columns]
    if not set(PEOPLE) & set(columns):
        missing.append(" or ".join(PEOPLE))
    if missing:
        raise AnnotateError(
            f"{url} is no classification export of Zooniverse: its first line lacks "
            f"{', '.join(missing)}; give the CSV of the project's data exports as it was sent"
        )
    return columns


def _read_row(
    row: CsvRow, columns: tuple[str, ...], options: AnnotateOptions
) -> Classification | Rejection:
    if not row.fields:
        return Rejection(row.number, "", "too long" if row.too_long else "broken row", row.fault)
    fields = dict(zip(columns, row.fields, strict=True))
    try:
        return _classification(row.number, fields, options)
    except UnusableRow as why:
        number = fields["classification_id"]
        known = number if number.isdecimal() and len(number) < 20 else ""
        return Rejection(row.number, known, why.reason, why.detail, why.marks)


def _classification(row: int, fields: dict[str, str], options: AnnotateOptions) -> Classification:
    number, workflow = (_whole(fields, key) for key in ("classification_id", "workflow_id"))
    version = fields["workflow_version"].strip()
    _require_chosen(workflow, version, options)
    subject, metadata = _subject(_json(fields, "subject_data", dict))
    sizes = _sizes(_json(fields, "metadata", dict))
    tasks = DrawingTasks(options.task)
    tasks.add(_json(fields, "annotations", list))
    shown = _shown(metadata)
    marks = FrameMarks(options, shown, sizes)
    for mark in tasks.marks:
        marks.add(mark)
    if not (tasks.asked or tasks.silent):
        raise UnusableRow("no drawing task", "no task that asks for drawings was answered")
    marks.require_use()
    return Classification(
        row=row,
        number=number,
        volunteer=_pseudonym(fields, number),
        subject=subject,
        workflow=workflow,
        version=version,
        created_at=fields["created_at"].strip(),
        metadata=metadata,
        shown=shown,
        drawn={frame: tuple(strokes) for frame, strokes in marks.drawn.items()},
        sizes=sizes,
        absent=bool(tasks.asked) and not marks.drawn,
        asked=frozenset(tasks.asked),
        silent=frozenset(tasks.silent),
        kinds=tuple(marks.kinds),
        lost_marks=tuple(marks.faults),
        lost_points=marks.lost_points,
    )


def _require_chosen(workflow: int, version: str, options: AnnotateOptions) -> None:
    if options.workflow and workflow not in options.workflow:
        raise UnusableRow("another workflow", str(workflow))
    chosen = options.workflow_version
    if chosen and version not in chosen and version.partition(".")[0] not in chosen:
        raise UnusableRow("another version", version)


def _pseudonym(fields: dict[str, str], number: int) -> str:
    known = ((key, fields.get(key, "").strip()) for key in PEOPLE)
    # of whom nothing is known: a person of their own
    key, value = next(((key, value) for key, value in known if value), ("row", str(number)))
    return hashlib.sha256(f"{SALT}:{key}:{value}".encode()).hexdigest()[:16]


def _whole(fields: dict[str, str], key: str) -> int:
    text = fields[key].strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise UnusableRow("broken field", f"{key} is no whole number")
    return int(text)


def _json(fields: dict[str, str], key: str, kind: type[Any]) -> Any:
    try:
        found = json.loads(fields[key])
    except (ValueError, RecursionError) as error:
        raise UnusableRow("broken field", f"{key} is no JSON: {error}") from None
    if not isinstance(found, kind):
        raise UnusableRow("broken field", f"{key} is a JSON {type(found).__name__}")
    return found


def _subject(found: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if len(found) != 1:
        raise UnusableRow("several subjects", f"{len(found)} in one row")
    name, metadata = next(iter(found.items()))
    if not isinstance(metadata, dict):
        raise UnusableRow("broken field", "subject_data holds no metadata")
    return name, metadata


def _sizes(metadata: dict[str, Any]) -> tuple[Size | None, ...]:
    listed = metadata.get("subject_dimensions")
    return tuple(map(_size, listed)) if isinstance(listed, list) else ()


def _size(found: object) -> Size | None:
    if not isinstance(found, dict):
        return None
    height, width = (first_positive(found, [f"natural{side}"]) for side in ("Height", "Width"))
    if height is None or width is None or max(height, width) > MAX_COORDINATE:
        return None
    return max(1.0, height), max(1.0, width)


def _shown(metadata: Mapping[str, Any]) -> int:
    """The frame a volunteer sees first, from 0: `default_frame` counts from 1."""
    return max(1, whole_number(text_of(metadata, "default_frame")) or 1) - 1

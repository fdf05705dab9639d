"""Subjects to Zooniverse: a subject set, and each subject once, however often it is interrupted.

    create subject ─▶ its images ─▶ noted ─▶ ... ten of them ─▶ into the set ─▶ noted

Notes are kept next to the manifest, one line each. A subject counts when all its images are up. If
the upload is killed before that, it is created again; the first one is in no set and never shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from volproc.engine.events import BlockDone, Event, StepFinished, StepStarted, Watcher
from volproc.engine.ledger import digest
from volproc.engine.records import RecordLog, record_log
from volproc.errors import AnnotateError
from volproc.faults import understanding
from volproc.stages.subjects.manifest import Row, files_of, from_csv
from volproc.stages.subjects.panoptes import MEDIA, Zooniverse, signed_in
from volproc.volume.access import exists
from volproc.volume.file_io import read_file

STEP = "upload"
LINK_TOGETHER = 10
MAX_IMAGE_BYTES = 2**20
"""Of an image; Zooniverse's own limit."""


@dataclass(frozen=True)
class Uploaded:
    """Where the subjects are now, and how many there are."""

    subject_set: str
    subjects: int


class UploadRecord:
    """What an upload has done: its set, subjects by their row, and which are in the set."""

    def __init__(self, url: str, *, head: Mapping[str, str]) -> None:
        self._lines: RecordLog = record_log(url)
        self._damaged = (
            f"{url} is damaged ({{}}); take it from a backup, or remove it and give another "
            "--subject-set: everything is uploaded again"
        )
        lines = self._lines.read()
        with understanding(AnnotateError, self._damaged):
            found = [json.loads(line) for line in lines]
        self.subject_set = ""
        self.subjects: dict[int, str] = {}
        self.linked: set[str] = set()
        if not found:
            self._lines.begin(json.dumps(head))
        elif found[0] != head:
            raise AnnotateError(
                f"{url} notes the upload of another manifest under the same name; give another "
                "--subject-set, or remove that file to upload everything again"
            )
        with understanding(AnnotateError, self._damaged):
            for line in found[1:]:
                self._take(line)

    @property
    def waiting(self) -> list[str]:
        """Subjects that are in no set yet."""
        return [subject for subject in self.subjects.values() if subject not in self.linked]

    def note(self, **line: object) -> None:
        """Record `subject_set`; or `row` and `subject`; or `linked`."""
        self._lines.append(json.dumps(line))
        self._take(line)

    def close(self) -> None:
        """Write what is not written yet."""
        self._lines.flush()

    def _take(self, line: Mapping[str, Any]) -> None:
        if "subject_set" in line:
            self.subject_set = line["subject_set"]
        elif "linked" in line:
            self.linked.update(line["linked"])
        else:
            self.subjects[line["row"]] = line["subject"]


@dataclass(frozen=True)
class _Job:
    """Rows of a manifest, the folder of their images, and the project and set they go to."""

    rows: Sequence[Row]
    folder: str
    project: int
    subject_set: str


def upload_subjects(
    manifest: str,
    *,
    project: int,
    subject_set: str,
    endpoint: str = "",
    watchers: Sequence[Watcher] = (),
) -> Uploaded:
    """The subjects of a manifest, in a new subject set of that name in `project`.

    The same call goes on where it was interrupted. `endpoint` is the API's address, by default the
    public one. AnnotateError for an unusable manifest (before anything is sent), for a refused
    account, and where the server cannot be reached.
    """
    text = read_file(manifest).decode("utf-8", errors="replace")
    folder = manifest.rpartition("/")[0] or "."
    job = _Job(from_csv(text, name=manifest), folder, project, subject_set)
    _check_files(job)
    name = digest(endpoint, project, subject_set)
    head = {"project": str(project), "set": subject_set, "manifest": digest(text)}
    record = UploadRecord(f"{folder}/upload-{name}.jsonl", head=head)
    with signed_in(endpoint) as zooniverse:
        try:
            _upload(job, zooniverse, record, watchers)
        finally:
            record.close()
    return Uploaded(record.subject_set, len(record.linked))


def _upload(
    job: _Job, zooniverse: Zooniverse, record: UploadRecord, watchers: Sequence[Watcher]
) -> None:
    total, began = len(job.rows), monotonic()
    _tell(watchers, StepStarted(STEP, len(record.subjects), total))
    zooniverse.require_project(job.project)
    if not record.subject_set:
        made = zooniverse.create_set(job.subject_set, project=job.project)
        record.note(subject_set=made)
    for number, row in enumerate(job.rows):
        if number in record.subjects:
            continue
        images = {name: _image(job.folder, name) for name in files_of(row)}
        subject = zooniverse.create_subject(images, row, project=job.project)
        record.note(row=number, subject=subject)
        if len(record.waiting) >= LINK_TOGETHER:
            _link(zooniverse, record)
        _tell(watchers, BlockDone(STEP, number, len(record.subjects), total, 0, os.getpid(), 0))
    _link(zooniverse, record)
    _tell(watchers, StepFinished(STEP, total, 0, round(monotonic() - began, 3), 0))


def _tell(watchers: Sequence[Watcher], event: Event) -> None:
    for watch in watchers:
        watch(event)


def _link(zooniverse: Zooniverse, record: UploadRecord) -> None:
    waiting = record.waiting
    if waiting:
        zooniverse.link(waiting, subject_set=record.subject_set)
        record.note(linked=waiting)


def _check_files(job: _Job) -> None:
    """AnnotateError unless all files are next to the manifest, where no name leads elsewhere."""
    names = {name for row in job.rows for name in files_of(row)}
    for name in sorted(names):
        if "/" in name or "\\" in name or name.rpartition(".")[2] not in MEDIA:
            raise AnnotateError(
                f"the manifest names the file {name!r}; images are next to it and end in "
                + " or ".join(MEDIA)
            )
        if not exists(f"{job.folder}/{name}"):
            raise AnnotateError(
                f"{name} is not in {job.folder}; cut the subjects again into an empty folder"
            )


def _image(folder: str, name: str) -> bytes:
    content = read_file(f"{folder}/{name}")
    if not 0 < len(content) <= MAX_IMAGE_BYTES:
        raise AnnotateError(
            f"{name} has {len(content)} bytes; Zooniverse takes images of 1 to {MAX_IMAGE_BYTES}"
        )
    return content

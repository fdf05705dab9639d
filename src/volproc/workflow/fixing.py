"""`volproc fix`: edits of a run's objects, and what is made again because of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from volproc.config.loading import parsed
from volproc.engine.events import Watcher
from volproc.errors import ConfigError
from volproc.lease import holding
from volproc.stages.edits.edit import Edit
from volproc.stages.edits.edit_log import NAME, EditLog, read_edit_log
from volproc.stages.edits.edit_session import EditSession, open_session
from volproc.stages.edits.history import touched_by
from volproc.stages.edits.requests import EditRequest, Point
from volproc.volume.access import canonical, exists
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import open_volume
from volproc.workflow import saved
from volproc.workflow.filled import filled, own
from volproc.workflow.plans import chosen
from volproc.workflow.registry import registered
from volproc.workflow.work import run_stages
from volproc.workflow.workflow_file import Workflow


@dataclass
class EditedRun:
    """A run whose objects are edited. What is appended is owned for that moment only."""

    workflow: Workflow
    _session: EditSession | None = field(default=None, repr=False)

    @property
    def log_url(self) -> str:
        """Where the edits are."""
        return own(self.workflow, NAME)

    @property
    def log(self) -> EditLog:
        """The edits as they are now."""
        return read_edit_log(self.log_url)

    def append(self, requests: Sequence[EditRequest]) -> tuple[Edit, ...]:
        """Record some edits, all or none; ConfigError for one that cannot be."""
        with self._owned() as session:
            return session.append(requests)

    def undo(self, number: int = 0, *, why: str = "") -> int:
        """Record that an edit is undone, by default the last that counts; its number."""
        with self._owned() as session:
            session.undo(number, why=why)
            return int(session.log.lines[-1]["undo"])

    def edit(self, stated: Mapping[str, Any]) -> str:
        """Record an edit as a viewer states it; in words."""
        (edit,) = self.append([parsed(EditRequest, dict(stated), where=str(stated.get("do")))])
        return f"edit {edit.number}: {edit}"

    def undo_last(self) -> str:
        """Record that the last edit that counts is undone; in words."""
        return f"edit {self.undo()} is undone"

    def apply(self) -> VolumeInfo:
        """The labels with all edits, written by this process; tables come later, by `make`."""
        self.make(only_labels=True, serial=True)
        return open_volume(own(self.workflow, registered()["fix"].outputs[0].file)).info

    def touched(self) -> set[int]:
        """Ids of all objects that edits changed, also those that were undone since."""
        return touched_by(self.log.edits.values())

    def label_at(self, point: Point) -> int:
        """The object at a position in nm after all edits, also those that no block has yet."""
        return self.session().label_at(point)

    def session(self) -> EditSession:
        """The labels with all edits, once more only if another process appended some."""
        log = self.log
        if self._session is None or self._session.log.lines != log.lines:
            self._session = open_session(self.labels, self.log_url, self._probability())
        return self._session

    @property
    def labels(self) -> VolumeInfo:
        """The objects as they were labelled; ConfigError in a run without."""
        url = own(self.workflow, registered()["label"].outputs[0].file)
        if not exists(url):
            raise ConfigError(
                f"{self.workflow.run.folder} has no labels to edit: {url} is missing; `volproc "
                "run` makes them"
            )
        return open_volume(url).info

    def make(
        self,
        watchers: Sequence[Watcher] = (),
        *,
        only_labels: bool = False,
        serial: bool = False,
    ) -> tuple[str, ...]:
        """Apply the edits, and make again what was made of the objects; the stages' names.

        That is the edited volume, and those of the stages after it that the run has made before.
        """
        if not self.log.head:
            return ()
        stages = ("fix",) if only_labels else tuple(self._stages())
        workflow = self.workflow
        if serial:
            cluster = workflow.cluster.model_copy(update={"kind": "serial"})
            workflow = workflow.model_copy(update={"cluster": cluster})
        run_stages(workflow, stages=stages, redo=(), watchers=watchers, until=math.inf)
        return stages

    def _stages(self) -> Iterator[str]:
        """`fix`, and of the stages that read what it or one of these makes those that were run."""
        affected = {"fix"}
        for stage in chosen(self.workflow, ()):
            there = any(exists(own(self.workflow, output.file)) for output in stage.outputs)
            if stage.name == "fix" or (there and stage.before() & affected):
                affected.add(stage.name)
                yield stage.name

    def _probability(self) -> VolumeInfo | None:
        url = own(self.workflow, registered()["predict"].outputs[0].file)
        return open_volume(url).info if exists(url) else None

    @contextmanager
    def _owned(self) -> Iterator[EditSession]:
        with holding(own(self.workflow, "ledger")):
            yield self.session()


def edited_run(folder: str) -> EditedRun:
    """The run in a folder, to be edited; ConfigError where it is none."""
    workflow = saved(folder)
    if canonical(workflow.run.folder) != canonical(
        folder
    ):  # it was moved, or is seen from elsewhere
        run = workflow.run.model_copy(update={"folder": folder.rstrip("/")})
        workflow = workflow.model_copy(update={"run": run})
    return EditedRun(filled(workflow))

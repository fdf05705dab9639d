"""The label stage, as this one uses it. Callers hand it in: stages import no other stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.stages.description import Request, Stage
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume


class Planned(Protocol):
    """A planned labelling."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""


class Labelled(Protocol):
    """A finished labelling."""

    @property
    def labels(self) -> Volume:
        """The label volume."""

    @property
    def objects(self) -> int:
        """How many there are, numbered from 1."""

    @property
    def reasons(self) -> dict[str, int]:
        """How many each option dropped."""

    @property
    def largest_dropped_um3(self) -> float:
        """How large the largest of those was."""


@dataclass(frozen=True)
class Labelling:
    """The label stage, planned and run on parts of this one."""

    stage: Stage

    def plan(self, mask: VolumeInfo, url: str, options: Mapping[str, Any]) -> Planned:
        """A labelling of `mask` into `url`, with `options` of [label] by name."""
        tables = {self.stage.name: self.stage.options(**options)}
        request = Request(tables, {"mask": mask}, {"out": url})
        return cast(Planned, self.stage.plan(request))

    def run(self, planned: Planned, runner: Runner) -> Labelled:
        """The finished labelling."""
        return cast(Labelled, self.stage.run(planned, runner))

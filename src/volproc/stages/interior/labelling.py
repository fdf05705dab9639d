"""What this stage needs of the label stage. Callers hand it in: stages import no other stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from volproc.engine.protocol import Step
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
    """`plan_label` and `run_label`."""

    plan: Callable[..., Planned]
    run: Callable[..., Labelled]

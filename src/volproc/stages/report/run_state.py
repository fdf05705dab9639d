"""What the run's folder says besides volumes: how far it came, its files, and doubt of objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from volproc.errors import VolumeError

UNFINISHED = ("begun", "absent", "waits")
"""States of a stage that left nothing to show; the last waits for one before it."""
WORDS = {
    "begun": "not finished",
    "absent": "not begun",
    "waits": "not begun",
    "newer": "the run is older than this stage; run it again to add it",
    "other": "made from other options or inputs",
    "foreign": "made by somebody else",
    "unknown": "done; what it was made from is gone",
}


@dataclass(frozen=True)
class StageState:
    """A stage of the run, and whether it is done; `why` says what it waits for or differs in."""

    name: str
    state: str
    why: str = ""

    @property
    def words(self) -> str:
        """Its state as people say it."""
        return WORDS.get(self.state, self.state)


@dataclass(frozen=True)
class RunState:
    """How far a run came: its stages, and why its last attempt ended early; "" if it did not."""

    stages: tuple[StageState, ...] = ()
    failure: str = ""

    @property
    def left(self) -> tuple[StageState, ...]:
        """Stages that have not come to their end."""
        return tuple(one for one in self.stages if one.state in UNFINISHED)

    @property
    def newer(self) -> tuple[str, ...]:
        """Stages that volproc did not have yet when it made the run."""
        return tuple(one.name for one in self.stages if one.state == "newer")


FINISHED = RunState()


@dataclass(frozen=True)
class FileLink:
    """A file beside the page: where it is as seen from there, and what it has."""

    href: str
    name: str
    what: str


@dataclass(frozen=True)
class Expected:
    """A share of objects that is expected, and the interval that holds it nine times out of ten."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Doubt:
    """What the run expects of itself; `most_doubtful` are ids, the most doubtful first.

    `notes` are lines on what speaks for or against all objects together.
    """

    precision: Expected | None
    recall: Expected | None
    model: Mapping[str, Any]
    most_doubtful: tuple[int, ...]
    notes: tuple[str, ...] = ()


def read_doubt(text: str, *, name: str) -> Doubt | None:
    """The file that `doubt` leaves; None for no text, VolumeError for something else."""
    if not text:
        return None
    try:
        found = json.loads(text)
        return Doubt(
            _expected(found.get("expected_precision")),
            _expected(found.get("expected_recall")),
            dict(found.get("model") or {}),
            tuple(int(one) for one in found.get("most_doubtful", ())),
            tuple(str(one) for one in found.get("notes", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VolumeError(
            f"{name} is not what volproc writes about doubt; remove it and run the same again"
        ) from error


def _expected(found: Mapping[str, Any] | None) -> Expected | None:
    if not found or found["value"] is None:  # of no objects nothing is expected
        return None
    return Expected(*(float(found[key]) for key in ("value", "low", "high")))

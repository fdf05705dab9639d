"""What is wrong, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong: `what` is a line with the value and what was expected.

    An error means that voxels are lost, wrong or misplaced, or that readers will refuse the volume;
    a warning that someone should look.
    """

    severity: Literal["error", "warning"]
    where: str
    what: str
    file: bool = False
    """Whether `where` is a file, or files of an array, that cannot be read."""

    def __str__(self) -> str:
        return f"{self.severity}: {self.where}: {self.what}"


def error(where: str, what: str, *, file: bool = False) -> Finding:
    """A finding that makes the volume unfit."""
    return Finding("error", where, what, file)


def warning(where: str, what: str) -> Finding:
    """A finding to look at."""
    return Finding("warning", where, what)

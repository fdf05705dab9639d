"""How far and how fast the training in a folder was: for the plan of the same or a like one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

from volproc.faults import MALFORMED
from volproc.volume.access import exists
from volproc.volume.file_io import read_file, write_file

FILE = "training/pace.json"


@dataclass(frozen=True)
class Pace:
    """Of a training at its last checkpoint."""

    training: str = ""
    """Its digest."""
    like: str = ""
    """Names what its speed depends on: the network, its patches, the device."""
    step: int = 0
    """Steps done."""
    patches_a_second: float = 0.0

    def write(self, folder: str) -> None:
        """Keep it in the folder of the model."""
        write_file(f"{folder}/{FILE}", json.dumps(asdict(self)).encode())

    def seen_by(self, *, training: str, like: str) -> Pace:
        """What of it holds for a training."""
        return Pace(
            step=self.step if self.training == training else 0,
            patches_a_second=self.patches_a_second if self.like == like else 0.0,
        )


NO_PACE = Pace()


def pace_in(folder: str) -> Pace:
    """The pace that was kept; one of nothing if there is none."""
    path = f"{folder}/{FILE}"
    with suppress(*MALFORMED):
        kept = json.loads(read_file(path)) if exists(path) else {}
        return Pace(**kept) if isinstance(kept, Mapping) else NO_PACE
    return NO_PACE

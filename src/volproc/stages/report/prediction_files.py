"""What `predict` left besides volumes: its seam certificate, and regions worth drawing next."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from volproc.errors import VolumeError
from volproc.volume.store import Volume

MAX_REGIONS = 10
SHOWN = (
    *("places", "borders", "voxels", "largest", "mean", "changed", "worst", "tolerance"),
    *("skipped", "skipped_changed", "halo", "passed"),
)
"""Of every certificate."""
SHOWN_OF_GPUS = ("written_largest", "written_tolerance")
"""Of the certificate of a GPU; older ones lack them."""


@dataclass(frozen=True)
class DisputedRegion:
    """A region on which the axes disagree: voxels of the image, and shares from 0 to 1."""

    rank: int
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    disagreement: float
    split: float


def read_certificate(
    text: str, prediction: Volume | None, *, name: str
) -> Mapping[str, Any] | None:
    """The certificate; None where there is none or it is another prediction's.

    VolumeError for what is no certificate.
    """
    if not text or prediction is None:
        return None
    try:
        found: dict[str, Any] = json.loads(text)
        mine = found["digest"] == prediction.info.provenance.get("digest")
        if not mine:
            return None
        return {key: found[key] for key in SHOWN} | {key: found.get(key) for key in SHOWN_OF_GPUS}
    except (ValueError, KeyError, TypeError) as error:
        raise _unknown(name) from error


def read_regions(text: str, *, name: str) -> tuple[DisputedRegion, ...]:
    """The first regions of the ranking; none for no text, VolumeError for another table."""
    try:
        rows = islice(csv.DictReader(text.splitlines()), MAX_REGIONS)
        return tuple(_region(row) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise _unknown(name) from error


def _region(row: Mapping[str, str]) -> DisputedRegion:
    z, y, x, depth, height, width = (
        int(row[key]) for key in ("z", "y", "x", "depth", "height", "width")
    )
    shares = float(row["disagreement"]), float(row["split"])
    return DisputedRegion(int(row["rank"]), (z, y, x), (depth, height, width), *shares)


def _unknown(name: str) -> VolumeError:
    return VolumeError(
        f"{name} is not what `volproc predict` writes; run that again or remove the file"
    )

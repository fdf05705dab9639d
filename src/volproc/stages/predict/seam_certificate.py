"""The seam certificate of a prediction, from the places that were predicted again; its failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from volproc.model.network import Network


@dataclass(frozen=True)
class Certificate:
    """How much the tiles of a run show. Differences are in steps of 1/255.

    `passed` is None with the published overlap, which has seams by design. Places in skipped blocks
    do not count for `largest` and `mean`; `skipped_changed` is the share of their voxels that would
    have been foreground.
    """

    places: int
    borders: int
    voxels: int
    largest: int
    mean: float
    changed: float
    worst: tuple[int, int, int]
    tolerance: int
    skipped: int
    skipped_changed: float
    halo: str
    passed: bool | None


def certificate_of(records: Sequence[dict[str, Any]], *, tolerance: int, halo: str) -> Certificate:
    """All places together."""
    compared = [record for record in records if record["kind"] != "skipped"]
    skipped = [record for record in records if record["kind"] == "skipped"]
    worst = max(compared or skipped, key=lambda record: record["largest"])
    largest = worst["largest"] if compared else 0
    lost = _share(skipped, "changed", "voxels")
    z, y, x = worst["start"]
    return Certificate(
        places=len(records),
        borders=sum(record["kind"] == "border" for record in records),
        voxels=sum(record["voxels"] for record in compared),
        largest=largest,
        mean=_share(compared, "sum", "votes"),
        changed=_share(compared, "changed", "voxels"),
        worst=(z, y, x),
        tolerance=tolerance,
        skipped=len(skipped),
        skipped_changed=lost,
        halo=halo,
        passed=None if halo == "reference" else largest <= tolerance and not lost,
    )


def _share(records: Sequence[dict[str, Any]], part: str, whole: str) -> float:
    total = sum(record[whole] for record in records)
    return sum(record[part] for record in records) / total if total else 0.0


def failure(found: Certificate, network: Network, url: str) -> str:
    """Why it does not pass, and what to do about it."""
    where = ", ".join(f"{axis} {at}" for axis, at in zip("zyx", found.worst, strict=True))
    if found.largest <= found.tolerance:
        return (
            f"{url} is kept, but not certified: {100 * found.skipped_changed:.3g}% of the voxels "
            f"looked at in skipped blocks would have been foreground; "
            "make [predict] skip_empty_std smaller"
        )
    notes = "".join(f" ({note})" for note in network.notes)
    return (
        f"{url} is kept, but not certified: with other tiles its votes differ by up to "
        f"{found.largest} of 255 (near {where}; at most {found.tolerance} expected). Model "
        f"{network.name} sees further than the halo of its tiles{notes}: give a larger one as "
        "[predict] halo = PIXELS, or leave seam_check out"
    )

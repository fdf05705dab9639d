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
    have been foreground. On a GPU these are of float32; `written_largest` says how far the run's
    votes, in 16 bits, are from them. On a CPU there is nothing to say.
    """

    places: int
    borders: int
    voxels: int
    largest: int
    mean: float
    changed: float
    worst: tuple[int, int, int]
    tolerance: int
    written_largest: int | None
    written_tolerance: int | None
    skipped: int
    skipped_changed: float
    halo: str
    passed: bool | None


def certificate_of(
    records: Sequence[dict[str, Any]],
    *,
    tolerance: int,
    halo: str,
    written_tolerance: int | None = None,
) -> Certificate:
    """All places together; `written_tolerance` where the run was in 16 bits."""
    compared = [record for record in records if record["kind"] != "skipped"]
    skipped = [record for record in records if record["kind"] == "skipped"]
    worst = max(compared or skipped, key=lambda record: record["largest"])
    largest = worst["largest"] if compared else 0
    lost = _share(skipped, "changed", "voxels")
    z, y, x = worst["start"]
    rounded = [record["written_largest"] for record in compared]
    written = max(rounded, default=0) if written_tolerance is not None else None
    passed = largest <= tolerance and (written or 0) <= (written_tolerance or 0) and not lost
    return Certificate(
        places=len(records),
        borders=sum(record["kind"] == "border" for record in records),
        voxels=sum(record["voxels"] for record in compared),
        largest=largest,
        mean=_share(compared, "sum", "votes"),
        changed=_share(compared, "changed", "voxels"),
        worst=(z, y, x),
        tolerance=tolerance,
        written_largest=written,
        written_tolerance=written_tolerance,
        skipped=len(skipped),
        skipped_changed=lost,
        halo=halo,
        passed=None if halo == "reference" else passed,
    )


def _share(records: Sequence[dict[str, Any]], part: str, whole: str) -> float:
    total = sum(record[whole] for record in records)
    return sum(record[part] for record in records) / total if total else 0.0


def failure(found: Certificate, network: Network, url: str) -> str:
    """Why it does not pass, and what to do about it."""
    where = ", ".join(f"{axis} {at}" for axis, at in zip("zyx", found.worst, strict=True))
    if found.largest <= found.tolerance and found.skipped_changed:
        return (
            f"{url} is kept, but not certified: {100 * found.skipped_changed:.3g}% of the voxels "
            f"looked at in skipped blocks would have been foreground; "
            "make [predict] skip_empty_std smaller"
        )
    if found.largest <= found.tolerance:
        return (
            f"{url} is kept, but not certified: its votes, in 16 bits, differ by up to "
            f"{found.written_largest} of 255 from those in float32 (at most "
            f"{found.written_tolerance} expected); predict with "
            '[predict] device = "cpu", or take another model'
        )
    notes = "".join(f" ({note})" for note in network.notes)
    return (
        f"{url} is kept, but not certified: with other tiles its votes differ by up to "
        f"{found.largest} of 255 (near {where}; at most {found.tolerance} expected). Model "
        f"{network.name} sees further than the halo of its tiles{notes}: give a larger one as "
        "[predict] halo = PIXELS, or leave seam_check out"
    )

"""The numbers at the top of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from volproc.stages.empty_result import CARD, NOTHING
from volproc.stages.report.gallery import Gallery
from volproc.stages.report.object_listing import Objects
from volproc.stages.report.shown_slices import extent_um
from volproc.stages.report.step_times import StepTime
from volproc.stages.webpage import duration, short

OF_MODEL = ("axes", "fusion")
"""Options that may be left to the model: what they came to is in the prediction's recipe."""
Fact = tuple[str, str, str]
"""Name, value, and what is worth knowing beside it."""


def facts(
    gallery: Gallery,
    settings: Mapping[str, Any],
    objects: Objects | None,
    steps: Sequence[StepTime],
) -> tuple[Fact, ...]:
    """What the run found, in what, with what and how fast."""
    image = gallery.image.info
    size = extent_um(image)
    found: list[Fact] = []
    if objects is not None:
        volume, field = objects.volume_um3.sum(), prod(size)
        share = f"{short(volume)} µm³, {short(100 * volume / field)}% of the field"
        by_class = Counter(objects.classes)
        counted = ", ".join(f"{n:,} {name}" for name, n in by_class.items())
        more = "; ".join(part for part in (_why_none(gallery) or share, counted) if part)
        found.append(("Objects", f"{len(objects):,}", more))
    found.append(
        (
            "Field of view",
            f"{_by([short(s) for s in size])} µm",
            f"{short(prod(size))} µm³ (z, y, x)",
        )
    )
    counted = f"{short(prod(image.shape) / 1e6)} Mvoxel: {_by([f'{n:,}' for n in image.shape])}"
    found.append(("Image voxels", f"{_by([f'{v:g}' for v in image.voxel_nm])} nm", counted))
    found.extend(_model(gallery, settings))
    found.extend(_skipped(gallery))
    total = sum(step.seconds for step in steps)
    if total:
        rate = prod(image.shape) / total / 1e6
        found.append(("Time", duration(total), f"{short(rate)} Mvoxel/s, all steps together"))
    return tuple(found)


def _why_none(gallery: Gallery) -> str:
    record = gallery.objects.info.provenance if gallery.objects else {}
    return str(record.get(NOTHING, ""))


def _model(gallery: Gallery, settings: Mapping[str, Any]) -> list[Fact]:
    options = settings.get("predict") or {}
    name = str(options.get("model", "")).rstrip("/").rpartition("/")[2]
    if not name:
        return []
    prediction = gallery.prediction
    made = prediction.info.provenance.get("recipe", {}) if prediction else {}
    options = {**options, **{k: v for k, v in made.get("options", {}).items() if k in OF_MODEL}}
    at = f"at {_by([f'{v:g}' for v in prediction.info.voxel_nm])} nm" if prediction else ""
    axes = f"axes {options['axes']}" if "axes" in options else ""
    more = ", ".join(part for part in (at, axes, str(options.get("fusion", ""))) if part)
    return [("Model", name, more)]


def card_facts(gallery: Gallery) -> tuple[tuple[str, str], ...]:
    """What the card of the prediction's model says, by heading; nothing where it says nothing."""
    record = gallery.prediction.info.provenance if gallery.prediction else {}
    return tuple(map(tuple, record.get(CARD, {}).items()))


def _skipped(gallery: Gallery) -> list[Fact]:
    record = gallery.prediction.info.provenance if gallery.prediction else {}
    if "skipped_blocks" not in record:
        return []
    skipped, blocks = record["skipped_blocks"], record["blocks"]
    share = f"of {blocks:,} blocks: they seemed to hold nothing"
    return [("Skipped", f"{skipped:,}", share)]


def _by(parts: list[str]) -> str:
    return " × ".join(parts)

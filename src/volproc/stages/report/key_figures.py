"""The numbers at the top of the page, and the words for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
Triple = tuple[float, ...]


@dataclass(frozen=True)
class Figures:
    """What a run found, in what, with what and how fast; None where it is not known."""

    field_um: Triple
    image_shape: tuple[int, ...]
    image_voxel_nm: Triple
    objects: int | None = None
    volume_um3: float | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    """Objects of each class."""
    nothing_found: str = ""
    """Why there are no objects."""
    model: str = ""
    model_voxel_nm: Triple | None = None
    axes: str = ""
    fusion: str = ""
    skipped_blocks: int | None = None
    blocks: int | None = None
    seconds: float = 0.0

    @property
    def field_um3(self) -> float:
        """Volume of the field of view."""
        return prod(self.field_um)


def figures(
    gallery: Gallery,
    settings: Mapping[str, Any],
    objects: Objects | None,
    steps: Sequence[StepTime],
) -> Figures:
    """The numbers of a run."""
    image = gallery.image.info
    record = gallery.prediction.info.provenance if gallery.prediction else {}
    labels = gallery.objects.info.provenance if gallery.objects else {}
    options = settings.get("predict") or {}
    made = record.get("recipe", {}).get("options", {})
    options = {**options, **{k: v for k, v in made.items() if k in OF_MODEL}}
    return Figures(
        field_um=extent_um(image),
        image_shape=image.shape,
        image_voxel_nm=image.voxel_nm,
        objects=None if objects is None else len(objects),
        volume_um3=None if objects is None else float(objects.volume_um3.sum()),
        classes=Counter(objects.classes) if objects else {},
        nothing_found=str(labels.get(NOTHING, "")),
        model=str(options.get("model", "")).rstrip("/").rpartition("/")[2],
        model_voxel_nm=gallery.prediction.info.voxel_nm if gallery.prediction else None,
        axes=str(options.get("axes") or ""),
        fusion=str(options.get("fusion") or ""),
        skipped_blocks=record.get("skipped_blocks"),
        blocks=record.get("blocks"),
        seconds=sum(step.seconds for step in steps),
    )


def facts(found: Figures) -> tuple[Fact, ...]:
    """The same in words."""
    return tuple(_facts(found))


def _facts(found: Figures) -> Iterator[Fact]:
    if found.objects is not None and found.volume_um3 is not None:
        yield "Objects", f"{found.objects:,}", _about_objects(found, found.volume_um3)
    size = f"{_by([short(s) for s in found.field_um])} µm"
    yield "Field of view", size, f"{short(found.field_um3)} µm³ (z, y, x)"
    shape = f"{short(prod(found.image_shape) / 1e6)} Mvoxel: "
    shape += _by([f"{n:,}" for n in found.image_shape])
    yield "Image voxels", f"{_by([f'{v:g}' for v in found.image_voxel_nm])} nm", shape
    if found.model:
        yield "Model", found.model, _about_model(found)
    if found.skipped_blocks is not None:
        share = f"of {found.blocks:,} blocks: they seemed to hold nothing"
        yield "Skipped", f"{found.skipped_blocks:,}", share
    if found.seconds:
        rate = prod(found.image_shape) / found.seconds / 1e6
        yield "Time", duration(found.seconds), f"{short(rate)} Mvoxel/s, all steps together"


def _about_objects(found: Figures, volume: float) -> str:
    share = f"{short(volume)} µm³, {short(100 * volume / found.field_um3)}% of the field"
    counted = ", ".join(f"{n:,} {name}" for name, n in found.classes.items())
    return "; ".join(part for part in (share, counted) if part) if found.objects else "see above"


def _about_model(found: Figures) -> str:
    voxel = found.model_voxel_nm
    at = f"at {_by([f'{v:g}' for v in voxel])} nm" if voxel else ""
    axes = f"axes {found.axes}" if found.axes else ""
    return ", ".join(part for part in (at, axes, found.fusion) if part)


def card_facts(gallery: Gallery) -> tuple[tuple[str, str], ...]:
    """What the card of the prediction's model says, by heading; nothing where it says nothing."""
    record = gallery.prediction.info.provenance if gallery.prediction else {}
    return tuple(map(tuple, record.get(CARD, {}).items()))


def _by(parts: Sequence[str]) -> str:
    return " × ".join(parts)

"""Why nothing was found: the likely reason, from what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from volproc.grid.scale import VoxelNm
from volproc.model.network import Network
from volproc.volume.channels import OF_CHANNELS
from volproc.volume.metadata import VolumeInfo

NOTHING = "nothing_found"
"""The key in a volume's provenance that says why there is nothing in it."""
CARD = "model_card"
"""The key in a prediction's provenance for what the card of its model says, by heading."""
MODEL, VALUES, FLAT = "model", "values", "flat_image"
"""The keys in a prediction's provenance for its model, its lowest and highest voxel, and the grey
value of an image that has no other."""


@dataclass(frozen=True)
class Search:
    """What is known of a search for objects that found none; probabilities are from 0 to 1.

    `values` are the lowest and the highest of a prediction, `flat_image` is the grey value of an
    image that has no other, `model` is the network from the prediction's provenance, `dropped` how
    many objects each option dropped; `else_` is the reason if no other is known.
    """

    field_um3: float
    voxel_nm: VoxelNm
    threshold: float | None = None
    min_volume_um3: float = 0.0
    dropped: Mapping[str, int] = field(default_factory=dict)
    largest_dropped_um3: float = 0.0
    values: tuple[float, float] | None = None
    flat_image: float | None = None
    model: Mapping[str, Any] | None = None
    else_: str = ""


def model_record(
    network: Network, image: VolumeInfo, classes: Sequence[str] = ()
) -> dict[str, Any]:
    """For the provenance of a prediction: what its model is for, and what it was used on.

    `classes` are those that were predicted, where the network names some.
    """
    model = {
        "name": network.name,
        "classes": list(classes if network.classes else ()),
        "voxel_nm": list(network.voxel_nm),
        "image_voxel_nm": list(image.voxel_nm),
    }
    return {MODEL: model}


def values_record(prediction: VolumeInfo, blocks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """For the same: its lowest and highest voxel, from its blocks; the reason if they are equal."""
    ranges = [block["values"] for block in blocks if "values" in block]
    if len(ranges) < len(blocks):  # an earlier release did not record them
        return {}
    lowest, highest = min(low for low, _ in ranges), max(high for _, high in ranges)
    seen: dict[str, Any] = {VALUES: [lowest, highest]}
    if prediction.channels:
        of_classes = zip(*(block["class_values"] for block in blocks), strict=True)
        seen[OF_CHANNELS] = {
            name: {VALUES: [min(low for low, _ in found), max(high for _, high in found)]}
            for name, found in zip(prediction.channels, of_classes, strict=True)
        }
    if lowest < highest:
        return seen
    return seen | {NOTHING: empty_result_reason(search_in(prediction.with_provenance(**seen)))}


def search_in(info: VolumeInfo, *, else_: str = "", **more: Any) -> Search:
    """What a volume's provenance knows of a search in it, and `more`.

    If the volume itself is empty already, the reason for that becomes `else_`.
    """
    field_um3 = prod(info.shape) * prod(info.voxel_nm) * 1e-9
    values, model = (info.provenance.get(name) for name in (VALUES, MODEL))
    shares = (values[0] / 255, values[1] / 255) if values else None
    known = info.provenance.get(NOTHING) or else_
    flat = info.provenance.get(FLAT)
    return Search(
        field_um3,
        info.voxel_nm,
        values=shares,
        flat_image=flat,
        model=model if flat is None else None,
        else_=known,
        **more,
    )


def empty_result_reason(search: Search, *, what: str = "no objects") -> str:
    """The likely reasons in one line, certain ones first."""
    certain = [_dropped(search) or _values(search) or search.else_, _small(search)]
    return f"{what}: {'; '.join(reason for reason in (*certain, _model(search)) if reason)}"


def _dropped(search: Search) -> str:
    total = sum(search.dropped.values())
    if not total:
        return ""
    by = ", ".join(f"{n:,} by {option}" for option, n in search.dropped.items() if n)
    most = search.largest_dropped_um3
    largest = f", the largest of {most:.3g} um³" if most else ""
    found = "the only one found was" if total == 1 else f"all {total:,} found were"
    return f"{found} dropped ({by}{largest})"


def _values(search: Search) -> str:
    if search.flat_image is not None:
        return (
            f"the image has the same grey value, {search.flat_image:g}, everywhere but in single "
            "voxels: check its source"
        )
    if search.values is None:
        return ""
    lowest, highest = search.values
    if lowest == highest:
        return f"the prediction is {highest:.3g} everywhere"
    if search.threshold is not None and highest < search.threshold:
        return (
            f"the largest probability is {highest:.3g}, below the threshold of {search.threshold:g}"
        )
    return ""


def _small(search: Search) -> str:
    if search.field_um3 >= search.min_volume_um3:
        return ""
    return (
        f"the field of {search.field_um3:.3g} um³ is smaller than one object of min_volume_um3 = "
        f"{search.min_volume_um3:g}"
    )


def _model(search: Search) -> str:
    if search.model is None:
        size = _by(search.voxel_nm)
        return f"is the voxel size of {size} nm right?" if _measured(search) else ""
    model = search.model
    marks = " and ".join(model["classes"]) or "its objects"
    return (
        f"{model['name']} marks {marks} at voxels of {_by(model['voxel_nm'])} nm: does the image "
        f"show that, and is its voxel size of {_by(model['image_voxel_nm'])} nm right?"
    )


def _measured(search: Search) -> bool:
    """Whether a wrong voxel size could be the reason."""
    return any("volume" in name or "extent" in name for name in search.dropped) or bool(
        _small(search)
    )


def _by(size: Any) -> str:
    return " x ".join(f"{length:g}" for length in size)

"""Folders that cellmap-models exports: model.onnx, model.pt2 and model.ts beside a metadata.json.

It states voxel sizes, shapes and names of channels, but not how grey values are to be scaled: a
card has to.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from volproc.errors import ModelError
from volproc.model.foreign.bioimageio import Described, Named
from volproc.model.foreign.model_card import Description, Weights, checked
from volproc.model.foreign.package import Package

METADATA = "metadata.json"
FILES: dict[Weights, str] = {"onnx": "model.onnx", "torchscript": "model.ts", "pt2": "model.pt2"}
"""Names of the weights that can be read, in the order they are taken."""

Sizes = tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]


class _Metadata(BaseModel):
    """The keys that are of use here; others are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    model_name: str | None = None
    spatial_dims: Annotated[int, Field(ge=2, le=3)] = 3
    in_channels: int | None = None
    input_voxel_size: Sizes | None = None
    output_voxel_size: Sizes | None = None
    channels_names: tuple[str, ...] | None = None


def describe_cellmap(package: Package) -> Described:
    """What the folder's metadata.json says; ModelError for what is wrong or cannot be honoured."""
    where = f"{package.path}: {METADATA}"
    stated = checked(_Metadata, _content(package, where), where=where)
    size, out = stated.input_voxel_size, stated.output_voxel_size
    if size and out and size != out:
        raise ModelError(
            f"{where}: the network predicts at {list(out)} nm, but reads {list(size)} nm; they "
            "must be alike: take another model"
        )
    values: dict[str, Any] = {
        "name": stated.model_name or package.path.name,
        "axes": "bczyx" if stated.spatial_dims == 3 else "bcyx",
        "channels": stated.channels_names or (),
    }
    if size:
        values["voxel_nm"] = size if len(size) == 3 else (size[0], *size)
    usable = {kind: Named(name) for kind, name in FILES.items() if package.holds(name)}
    if not usable:
        raise ModelError(
            f"{package.path} holds none of {', '.join(FILES.values())}; model.pt is a pickle, "
            "which is not read: export the network to ONNX"
        )
    description = checked(Description, values, where=where)
    return Described(description, stated.in_channels, usable, None, None)


def require_scaling(description: Description, package: Package) -> None:
    """ModelError unless a card says how grey values are scaled: no metadata.json does."""
    if "preprocessing" not in description.model_fields_set:
        raise ModelError(
            f"{package.path}: {METADATA} does not say what the network wants grey values to be; "
            'state it in a card: preprocessing = [{ id = "scale_linear", gain = 0.00392156 }] '
            "makes 0 to 1 of 0 to 255, preprocessing = [] leaves them as they are"
        )


def _content(package: Package, where: str) -> dict[str, Any]:
    try:
        found = json.loads(package.read(METADATA))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{where} holds no keys")
    return found

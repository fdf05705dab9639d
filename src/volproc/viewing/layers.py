"""A volume as neuroglancer's layers: in the colours and grey ranges that its metadata state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from volproc.errors import VolumeError
from volproc.volume.file_io import read_file
from volproc.volume.metadata import VolumeInfo

ONE_VALUE = "#uicontrol invlerp contrast\nvoid main() {{ emitRGB(vec3{colour} * contrast()); }}"
OUTLINE = """void main() {
  if (toRaw(getDataValue()) == 0u) emitTransparent();
  else emitRGB(vec3(1.0, 0.82, 0.2));
}"""
FILLED = 0.25
"""Opacity of the objects' colours."""
DRAWN = {"float32", *(f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64))}
"""Types of voxels that neuroglancer reads."""
GREY = {"color": "FFFFFF"}
Layer = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """A volume to be looked at, and the address of its files."""

    name: str
    info: VolumeInfo
    address: str
    visible: bool = True

    def __post_init__(self) -> None:
        if self.info.dtype not in DRAWN:
            raise VolumeError(
                f"{self.info.url} holds {self.info.dtype}, which neuroglancer does not show; save "
                "a mask as uint8 and grey values as float32, or look at it in napari"
            )

    @property
    def source(self) -> str:
        """What neuroglancer reads."""
        return f"{self.address}/|{'zarr3' if self.info.version == '0.5' else 'zarr2'}:"


def image_layers(shown: Shown) -> list[Layer]:
    """A layer per channel, laid over one another in their colours."""
    channels = channels_of(shown.info)
    found = [_image(shown, channel) for channel in channels]
    if shown.info.channels:
        for number, one in enumerate(found):
            one |= {"localDimensions": {"c'": [1, ""]}, "localPosition": [number]}
    return found


def label_layers(shown: Shown, outlines: str, meshes: str, ids: Sequence[int]) -> list[Layer]:
    """The objects' outlines, and the objects themselves with the meshes at an address, if any."""
    sources = [shown.source, *([f"precomputed://{meshes}"] if meshes else [])]
    return [
        {
            "type": "image",
            "name": f"{shown.name} outlines",
            "source": f"{outlines}/|zarr3:",
            "shader": OUTLINE,
            "opacity": 1,
            "visible": shown.visible,
        },
        {
            "type": "segmentation",
            "name": shown.name,
            "source": sources,
            "selectedAlpha": FILLED,
            "segments": [str(one) for one in ids],
            "visible": shown.visible,
        },
    ]


def _image(shown: Shown, channel: dict[str, Any]) -> Layer:
    colour = tuple(int(channel["color"][n : n + 2], 16) / 255 for n in (0, 2, 4))
    label = channel.get("label", "")
    layer: Layer = {
        "type": "image",
        "name": shown.name if shown.name.startswith(label) else f"{shown.name} {label}",
        "source": shown.source,
        "shader": ONE_VALUE.format(colour=colour),
        "opacity": 1,
        "blend": "additive",
        "visible": shown.visible,
    }
    if window := channel.get("window"):
        control = {
            "range": [window["start"], window["end"]],
            "window": [window["min"], window["max"]],
        }
        layer["shaderControls"] = {"contrast": control}
    return layer


def channels_of(info: VolumeInfo) -> list[dict[str, Any]]:
    """Colour, label and window of each channel; white where the metadata state none."""
    name = "zarr.json" if info.version == "0.5" else ".zattrs"
    stated = json.loads(read_file(f"{info.url}/{name}"))
    ome = stated["attributes"]["ome"] if info.version == "0.5" else stated
    channels: list[dict[str, Any]] = ome.get("omero", {}).get("channels", [])
    count = max(1, len(info.channels))
    return [{**GREY, **one} for one in channels] if len(channels) == count else [GREY] * count

"""Volumes and meshes of a folder in neuroglancer, laid over one another, in their colours.

    pip install neuroglancer
    python scripts/look.py run image.zarr votes.zarr objects.zarr+measure/meshes

prints an address to open. LABELS.zarr+MESHES is a label volume with its meshes. Colours and grey
ranges are those of the metadata, which neuroglancer itself does not read in OME-Zarr 0.5.
With `--picture out.png` it looks by itself: pip install playwright, and Chromium
(`playwright install chromium`, or `--chromium PATH`).
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

import neuroglancer
from neuroglancer.static_file_server import StaticFileServer

ONE_VALUE = "#uicontrol invlerp contrast\nvoid main() {{ emitRGB(vec3{colour} * contrast()); }}"
CHROMIUM = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
MAX_MESHES = 1000
"""Objects that are shown from the beginning: each is fetched."""


def ome_of(volume: Path) -> dict[str, Any]:
    """OME-Zarr's metadata, 0.5 or 0.4."""
    described = volume / "zarr.json"
    if described.exists():
        found: dict[str, Any] = json.loads(described.read_text())["attributes"]["ome"]
    else:
        found = json.loads((volume / ".zattrs").read_text())
    return found


def layers_of(folder: Path, name: str, address: str, *, picked: str) -> list[dict[str, Any]]:
    """The layers that show a volume: one per channel, or its labels with their meshes."""
    volume, _, meshes = name.partition("+")
    ome = ome_of(folder / volume)
    version = "zarr3" if (folder / volume / "zarr.json").exists() else "zarr2"
    source = f"{address}/{volume}/|{version}:"
    if "image-label" in ome:
        more = [f"precomputed://{address}/{meshes}"] if meshes else []
        ids = _listed(folder / meshes) if meshes else []
        shown = [one for one in picked.split(",") if one] or ids[:MAX_MESHES]
        return [
            {"type": "segmentation", "name": volume, "source": [source, *more], "segments": shown}
        ]
    channels = ome["omero"]["channels"]
    found = [_image(volume, source, channel) for channel in channels]
    if len(channels) > 1:
        for number, one in enumerate(found):
            one |= {"localDimensions": {"c'": [1, ""]}, "localPosition": [number]}
    return found


def _image(volume: str, source: str, channel: dict[str, Any]) -> dict[str, Any]:
    colour = tuple(int(channel["color"][n : n + 2], 16) / 255 for n in (0, 2, 4))
    window = channel["window"]
    shown = {"range": [window["start"], window["end"]], "window": [window["min"], window["max"]]}
    label = channel.get("label", "")
    return {
        "type": "image",
        "name": volume if volume.startswith(label) else f"{volume} {label}",
        "source": source,
        "shader": ONE_VALUE.format(colour=colour),
        "shaderControls": {"contrast": shown},
        "opacity": 1,
        "blend": "additive",
    }


def _listed(meshes: Path) -> list[str]:
    info = json.loads((meshes / "info").read_text())
    listed = json.loads((meshes / info["segment_properties"] / "info").read_text())
    ids: list[str] = listed["inline"]["ids"]
    return ids


def space_of(folder: Path, name: str) -> tuple[dict[str, Any], list[float]]:
    """x, y and z in the voxels of a volume, and its middle."""
    multiscale = ome_of(folder / name)["multiscales"][0]
    first = multiscale["datasets"][0]
    array = folder / name / first["path"]
    described = array / "zarr.json" if (array / "zarr.json").exists() else array / ".zarray"
    shape = json.loads(described.read_text())["shape"][-3:]
    scale = first["coordinateTransformations"][0]["scale"][-3:]
    axes = dict(zip("zyx", scale, strict=True))
    dimensions = {axis: [axes[axis] * 1e-9, "m"] for axis in "xyz"}  # volproc writes nanometres
    return dimensions, [n / 2 for n in reversed(shape)]


def take_picture(viewer: neuroglancer.Viewer, path: str, chromium: str | None) -> None:
    """Open the viewer without a window, wait until all is loaded, and save what is seen."""
    from playwright.sync_api import sync_playwright

    done: list[Any] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.goto(viewer.get_viewer_url())
        viewer.async_screenshot(done.append)
        end = time.monotonic() + 300
        while not done and time.monotonic() < end:
            page.wait_for_timeout(100)
        page.screenshot(path=path)
    if not done:
        raise SystemExit(f"{path}: not everything was loaded after 300 s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("volumes", nargs="+", help="VOLUME.zarr or LABELS.zarr+MESHES")
    parser.add_argument("--at", help="x,y,z in voxels of the first volume; its middle by default")
    parser.add_argument("--layout", default="4panel", help="4panel, xy, 3d, ...")
    parser.add_argument("--zoom", type=float, default=1.0, help="voxels per pixel")
    parser.add_argument("--ids", default="", help="1,2,3: objects to be shown; by default all")
    parser.add_argument("--picture", help="FILE.png: take a picture instead")
    parser.add_argument("--chromium", help="the browser to take it with")
    asked = parser.parse_args()
    with StaticFileServer(str(asked.folder.resolve()), daemon=True) as address:
        dimensions, middle = space_of(asked.folder, re.sub(r"\+.*", "", asked.volumes[0]))
        position = [float(n) for n in asked.at.split(",")] if asked.at else middle
        viewer = neuroglancer.Viewer()
        viewer.set_state(
            {
                "dimensions": dimensions,
                "position": position,
                "crossSectionScale": asked.zoom,
                "projectionScale": 2.5 * max(middle),
                "layout": asked.layout,
                "layers": [
                    layer
                    for name in asked.volumes
                    for layer in layers_of(asked.folder, name, address, picked=asked.ids)
                ],
            }
        )
        if asked.picture:
            take_picture(viewer, asked.picture, asked.chromium)
        else:
            input(f"{viewer.get_viewer_url()}\nPress Enter to end. ")


if __name__ == "__main__":
    main()

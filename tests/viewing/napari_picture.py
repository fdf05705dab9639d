"""Opens a run in napari as people do, and writes what it shows: RUN PICTURE.png.

Beside it, in a JSON file, what its layers and its camera say.

A program of its own: a library that crashes takes no other test along.
"""

import json
import sys
from pathlib import Path

import napari

COLOURS = {None: "black", 0: "black", 7: "red", 9: "lime"}


def main(run: str, picture: str) -> None:
    viewer = napari.Viewer()
    viewer.open(run, plugin="volproc")
    image, labels, points = viewer.layers
    image.visible, labels.opacity, labels.colormap = False, 1, COLOURS
    viewer.dims.set_point(0, labels.translate[0] + 4 * labels.scale[0])
    viewer.reset_view()
    canvas = viewer.screenshot(picture, canvas_only=True, flash=False)
    told = {
        "layers": [[one.name, *map(list, (one.scale, one.translate))] for one in viewer.layers],
        "units": [[str(unit) for unit in one.units] for one in viewer.layers],
        "features": labels.features.to_dict("list"),
        "points": points.data.tolist(),
        "said": [*points.features["said"]],
        # the middle of the canvas in nm, pixels per nm, and what both are of
        "middle": viewer.camera.center[-2:],
        "zoom": viewer.camera.zoom,
        "canvas": canvas.shape[:2],
    }
    Path(picture).with_suffix(".json").write_text(json.dumps(told, default=float))
    viewer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Three votes of a network on one nucleus, from above and from the side: arrays of a real run."""

from __future__ import annotations

import numpy as np
from canvas import Canvas

import volproc
from volproc.stages.pictures import grey

SHAPE, SEED = (96, 240, 240), 3
SIDE, LEFT, TOP = 150, 24, 74
HERE = volproc.ClusterOptions(kind="serial")
AXES = ("z", "y", "x")
WIDTH = 5 * (SIDE + 12) + 2 * LEFT - 12


def draw() -> str:
    """Two rows of pictures: the image, what the network says along each axis, all three at once."""
    image, votes = arrays()
    canvas = Canvas(WIDTH, 372, "Votes along z, y and x, and all three in colour.")
    names = ("the image", *(f"seen along {axis}" for axis in AXES), "all three")
    for place, name in enumerate(names):
        canvas.text(LEFT + place * (SIDE + 12) + SIDE / 2, TOP - 36, name, "bold", "middle")
    middle = SHAPE[0] // 2
    rows = (
        "a slice (y down, x to the right)",
        "the same nucleus from the side (z down, x to the right)",
    )
    y = TOP
    for title, cut in zip(rows, (np.s_[middle], np.s_[:, 120]), strict=True):
        canvas.text(LEFT, y - 12, title, "small")
        pictures = [grey(image[cut], low=40, high=220), *(votes[axis][cut] for axis in AXES)]
        pictures.append(np.stack([votes[axis][cut] for axis in "xyz"], axis=-1))
        for place, pixels in enumerate(pictures):
            canvas.picture(pixels, LEFT + place * (SIDE + 12), y, SIDE)
        y += SIDE * image[cut].shape[0] / image[cut].shape[1] + 44
    canvas.text(
        LEFT,
        y - 8,
        "White: the network says nucleus. "
        "In colour: x red, y green, z blue; white where all agree.",
        "small",
    )
    return canvas.svg()


def arrays() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The voxels of a phantom, and each axis' votes, in the folder that is open."""
    volproc.phantom("cells.zarr", shape=SHAPE, voxel_nm=(50, 50, 50), seed=SEED, cluster=HERE)
    image = volproc.open_volume("cells.zarr")
    volproc.predict(image, "prediction.zarr", votes="votes.zarr", cluster=HERE)
    votes = volproc.open_volume("votes.zarr")
    by_name = {name: votes[number] for number, name in enumerate(votes.info.channels)}
    return image[:], by_name

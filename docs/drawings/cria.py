"""What volunteers drew of a nucleus, and what CRIA and the plain average make of it."""

from __future__ import annotations

import numpy as np
from canvas import Canvas

import volproc
from volproc import AnnotateOptions
from volproc.drawing import SliceVotes
from volproc.stages.annotate.geometry.outline import outline
from volproc.stages.annotate.methods import METHODS
from volproc.stages.charts import outline_path, stroke_path
from volproc.stages.crowd.simulated_votes import draw as drawn_by
from volproc.stages.crowd.visible_outlines import trace
from volproc.stages.crowd.volunteers import panel, volunteers
from volproc.stages.pictures import grey

NM, SIZE, PEOPLE = (20.0, 20.0), 900, 7
SHOWN = 600
"""Voxels of the slice that are drawn on: those around its nucleus."""
SIDE, LEFT, TOP = 250, 24, 50
SCALE = SIDE / SHOWN
CYAN, YELLOW, MAGENTA = "#4dd0e1", "#ffd54f", "#ff5fa2"


def draw() -> str:
    """Three pictures: strokes, agreement, the outline beside the truth."""
    image, truth = arrays()
    people = panel(volunteers("typical", seed=1), 0, count=PEOPLE)
    lines = trace(truth, NM)
    votes = tuple(drawn_by(lines, who, z=0, shape_yx=truth.shape, nm=NM) for who in people)
    shown = SliceVotes(0, (0, 0), truth.shape, votes)
    answer = METHODS["cria"](shown, NM, {}, AnnotateOptions())
    canvas = Canvas(
        3 * (SIDE + 16) + 2 * LEFT - 16, 350, "Strokes, agreement, and the outline of CRIA."
    )
    titles = (
        f"1  What {PEOPLE} volunteers drew",
        "2  How far they agree",
        "3  The outline, and the truth",
    )
    agreement = (answer.onto(truth.shape) * 255).astype(np.uint8)
    for place, (title, pixels) in enumerate(zip(titles, (image, agreement, image), strict=True)):
        canvas.text(LEFT + place * (SIDE + 16), 32, title, "bold")
        canvas.picture(pixels, LEFT + place * (SIDE + 16), TOP, SIDE)
    for vote in votes:
        for stroke in vote.strokes:
            canvas.path(stroke_path(stroke.points, origin=(0, 0), scale=SCALE), CYAN, 1, _at(0))
    for line in lines:
        path = outline_path([line.points], origin=(0, 0), scale=SCALE / NM[0])
        canvas.path(path, MAGENTA, 2.5, _at(2))
    path = outline_path(outline(answer, truth.shape), origin=(0, 0), scale=SCALE)
    canvas.path(path, YELLOW, 1.2, _at(2))
    notes = (
        "each line is one stroke of a hand",
        "the brighter, the more agree",
        "yellow: CRIA; pink: the truth",
    )
    for place, note in enumerate(notes):
        canvas.text(LEFT + place * (SIDE + 16), TOP + SIDE + 26, note, "small")
    return canvas.svg()


def _at(place: int) -> str:
    return f'transform="translate({LEFT + place * (SIDE + 16)} {TOP})"'


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """A slice of a phantom as grey values, and where its nuclei are."""
    how = {"shape": (4, SIZE, SIZE), "voxel_nm": (50, *NM), "seed": 3}
    volproc.phantom("slice.zarr", cluster=volproc.ClusterOptions(kind="serial"), **how)
    image = volproc.open_volume("slice.zarr")[0, :SHOWN, :SHOWN]
    nuclei = volproc.open_volume("slice.zarr/labels/nuclei")[0, :SHOWN, :SHOWN]
    return grey(image, low=40, high=220), nuclei > 0

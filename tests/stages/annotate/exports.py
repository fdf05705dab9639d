"""Exports as Zooniverse writes them, made by hand."""

import csv
import json

from volproc.stages.annotate.export.zooniverse import read_export

COLUMNS = (
    "classification_id", "user_name", "user_id", "user_ip", "workflow_id", "workflow_name",
    "workflow_version", "created_at", "gold_standard", "expert", "metadata", "annotations",
    "subject_data", "subject_ids",
)  # fmt: skip
SQUARE = [(10, 10), (10, 30), (30, 30), (30, 10)]
"""Corners (x, y) of a drawing."""


def mark_1(points=SQUARE, *, tool=0, frame=0, **more):
    """What classifier 1 leaves of (x, y)."""
    listed = [{"x": x, "y": y} for x, y in points]
    return {"tool": tool, "frame": frame, "points": listed, "details": [], **more}


def mark_2(points=SQUARE, *, tool=0, frame=0, kind="freehandLine", **more):
    """What classifier 2 leaves of (x, y)."""
    x, y = zip(*points) if points else ((), ())
    paths = {"pathX": list(x), "pathY": list(y)}
    return {"toolIndex": tool, "toolType": kind, "frame": frame, **paths, "details": [], **more}


def task(*marks, name="T0", **more):
    """An answer to a drawing task."""
    return {"task": name, "task_label": "Draw.", "value": list(marks), **more}


def subject(*, slices=(1,), roi="ROI_1", shown=1, **more):
    """Metadata of a subject with Etch-a-Cell's keys; its frames show `slices`, from 1."""
    images = {f"Image {n}": f"{roi}_z{z:04}.jpg" for n, z in enumerate(slices)}
    return {"Subject ID": f"{roi}_{shown}", **images, "default_frame": str(shown), **more}


def row_of(
    number=1,
    *annotations,
    user=1,
    name="",
    size=(100, 100),
    frames=1,
    subject_id=7,
    about=None,
    workflow=5,
    version="2.3",
    at="2025-01-21 16:08:41 UTC",
    **cells,
):
    """One row; `size` (width, height) is that of each frame; `cells` replace columns."""
    sizes = [{"naturalWidth": size[0], "naturalHeight": size[1]} if size else None] * frames
    return {
        "classification_id": str(number),
        "user_name": name or f"volunteer-{user}",
        "user_id": str(user or ""),
        "user_ip": "",
        "workflow_id": str(workflow),
        "workflow_name": "Draw",
        "workflow_version": version,
        "created_at": at,
        "gold_standard": "",
        "expert": "",
        "metadata": json.dumps({"classifier_version": "2.0", "subject_dimensions": sizes}),
        "annotations": json.dumps(list(annotations) or [task(mark_2())]),
        "subject_data": json.dumps({str(subject_id): {"retired": None, **(about or subject())}}),
        "subject_ids": str(subject_id),
        **cells,
    }


def write_export(path, rows, *, columns=COLUMNS):
    """The CSV of some rows; its path as text."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def read_all(path, rows, options, **more):
    """What the reader says of each row."""
    return list(read_export(write_export(path, rows), options, **more))

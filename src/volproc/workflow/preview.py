"""A preview of a run: the same stages with a coarser model, in a folder of its own.

    run/image.zarr ──(where it is there)──▶ run-preview/: prediction.zarr, objects.csv, report.html

Drawings of volunteers and training are left out: a preview shows what the shipped model finds.
"""

from __future__ import annotations

from volproc.errors import ConfigError
from volproc.location import name_of
from volproc.volume.access import canonical, exists
from volproc.workflow.filled import filled, image_url, own
from volproc.workflow.workflow_file import Workflow

FULL, COARSE = "nuclei-50nm", "nuclei-100nm"
LEFT_OUT = ("subjects", "crowd", "annotate", "train")


def preview_of(workflow: Workflow) -> Workflow:
    """The workflow with the coarser model, whose results lie beside those of the full run.

    ConfigError where its model has no preview.
    """
    model = filled(workflow).predict.model
    if model != FULL:
        raise ConfigError(
            f"[predict] model is {model!r}, and --preview is for {FULL!r} only; leave out "
            "--preview, and try a part of the image with --box"
        )
    source = workflow.run.source
    title = workflow.report.title or name_of(source)
    preview = workflow.model_copy(
        update={
            "run": workflow.run.model_copy(update={"folder": f"{_folder(workflow)}-preview"}),
            "predict": workflow.predict.model_copy(update={"model": COARSE}),
            "report": workflow.report.model_copy(update={"title": f"preview: {title}"}),
            **dict.fromkeys(LEFT_OUT),
        }
    )
    return preview if workflow.source_is_volume else _of_converted(workflow, preview)


def said_of(preview: Workflow) -> str:
    """What a preview is, in a line."""
    return (
        f"preview: {COARSE} in place of {FULL}, coarser and faster; it writes to "
        f"{preview.run.folder}, the full run is left as it is"
    )


def _folder(workflow: Workflow) -> str:
    folder = workflow.run.folder.rstrip("/")
    return canonical(folder) if folder == "." else folder


def _of_converted(workflow: Workflow, preview: Workflow) -> Workflow:
    """The preview of the image that the full run has converted already, if it has."""
    from volproc.workflow.plans import Plans

    if exists(own(preview, "image.zarr")):  # it goes on with its own
        return preview
    full = filled(workflow)
    if Plans(full).claim("ingest").state != "done":
        return preview
    # [run] box was the ingest's: the image is that part
    run = preview.run.model_copy(update={"source": image_url(full), "box": ""})
    return preview.model_copy(update={"run": run})

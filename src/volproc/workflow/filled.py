"""What a run decides where the options leave it open: the places where its stages meet.

[crowd] ──crowd.csv──▶ [annotate] ──annotations.zarr──▶ [train] ──model/──▶ [predict]
[subjects] ──subjects/manifest.csv──▶
"""

from __future__ import annotations

from functools import partial

from volproc.errors import ConfigError
from volproc.workflow.registry import registered
from volproc.workflow.workflow_file import Workflow

SETTINGS = "workflow.json"
"""The options of a run, kept in its folder: `volproc report RUN/` reads them."""
LOG = "log.jsonl"
"""What happened in a run; at a URL it is a folder of objects (`engine/records.py`)."""


def own(workflow: Workflow, name: str) -> str:
    """The path or URL of a file or volume in the run's folder."""
    return f"{workflow.run.folder.rstrip('/')}/{name}"


def filled(workflow: Workflow) -> Workflow:
    """The options with what the run decides; filled twice they are the same.

    ConfigError where a stage has nothing to work on.
    """
    workflow, place = _cropped(workflow), partial(own, workflow)
    stages = (stage for stage in registered().values() if stage.resolve)
    return workflow.model_copy(
        update={stage.name: workflow.resolved(stage.name, place) for stage in stages}
    )


def _cropped(workflow: Workflow) -> Workflow:
    """The [run] box, where the first stage takes it that can."""
    box = workflow.run.box
    if not box:
        return workflow
    stage = "ingest"
    if workflow.source_is_volume:
        stage = "predict" if workflow.filter is None else "filter"
    options = getattr(workflow, stage)
    if options.box not in ("", box):
        raise ConfigError(
            f"[run] box = {box!r} is for [{stage}], which has box = {options.box!r}; state one"
        )
    return workflow.model_copy(update={stage: options.model_copy(update={"box": box})})


def image_url(workflow: Workflow) -> str:
    """The image that the run works on."""
    return workflow.image(partial(own, workflow))

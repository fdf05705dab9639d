"""What a run decides where the options leave it open: the places where its stages meet.

[crowd] ──crowd.csv──▶ [annotate] ──annotations.zarr──▶ [train] ──model/──▶ [predict]
[subjects] ──subjects/manifest.csv──▶
"""

from __future__ import annotations

from typing import TypeVar

from volproc.config import AnnotateOptions, Options, PredictOptions, TrainOptions, Workflow
from volproc.errors import ConfigError

T = TypeVar("T", bound=Options)

IMAGE, ANNOTATIONS, EXPORT = "image.zarr", "annotations.zarr", "crowd.csv"
FILTERED = "filtered.zarr"
"""What [filter] makes of the image: only the network sees it."""
SETTINGS = "workflow.json"
"""The options of a run, kept in its folder: `volproc report RUN/` reads them."""
SUBJECTS, MODEL = "subjects", "model"


def own(workflow: Workflow, name: str) -> str:
    """The place of a file or volume in the run's folder; ConfigError where that is a URL."""
    folder = workflow.run.folder
    if "://" in folder:
        raise ConfigError(
            f"[run] folder = {folder}: a run's folder lies on this machine; give a path, or "
            "run the stages one by one, which take URLs"
        )
    return f"{folder.rstrip('/') or '/'}/{name}"


def source_is_volume(workflow: Workflow) -> bool:
    """Whether the source is an OME-Zarr volume already, so that nothing is ingested."""
    source = workflow.require_source().rstrip("/")
    return source.endswith(".zarr") or ".zarr/" in source


def image_url(workflow: Workflow) -> str:
    """The image that the run works on."""
    return workflow.run.source if source_is_volume(workflow) else own(workflow, IMAGE)


def network_image_url(workflow: Workflow) -> str:
    """The image that the network learns from and predicts on."""
    return own(workflow, FILTERED) if workflow.filter is not None else image_url(workflow)


def filled(workflow: Workflow) -> Workflow:
    """The options with what the run decides; filled twice they are the same.

    ConfigError where a stage has nothing to work on.
    """
    if workflow.crowd is not None and not workflow.crowd.truth:
        raise ConfigError("[crowd] truth is missing; name the label volume that volunteers draw")
    workflow = _cropped(workflow)
    return workflow.model_copy(
        update={
            "annotate": _annotate(workflow),
            "train": _train(workflow),
            "predict": _predict(workflow),
        }
    )


def _cropped(workflow: Workflow) -> Workflow:
    """The [run] box, where the first stage takes it that can."""
    box = workflow.run.box
    if not box:
        return workflow
    stage = "ingest"
    if source_is_volume(workflow):
        stage = "filter" if workflow.filter is not None else "predict"
    options = getattr(workflow, stage)
    if options.box not in ("", box):
        raise ConfigError(
            f"[run] box = {box!r} is for [{stage}], which has box = {options.box!r}; state one"
        )
    return workflow.model_copy(update={stage: _with(options, box=box)})


def _annotate(workflow: Workflow) -> AnnotateOptions | None:
    options = workflow.annotate
    if options is None or options.export:
        found = options
    elif workflow.crowd is not None:
        found = _with(options, export=own(workflow, EXPORT))
    else:
        raise ConfigError(
            "[annotate] export is missing; name the classification export, or add a [crowd] table "
            "that simulates one"
        )
    # a simulated crowd saw the truth, not the subjects
    if found and workflow.subjects and not workflow.crowd and not found.manifest:
        return _with(found, manifest=own(workflow, f"{SUBJECTS}/manifest.csv"))
    return found


def _train(workflow: Workflow) -> TrainOptions | None:
    options = workflow.train
    if options is None:
        return None
    if "model_out" not in options.model_fields_set:
        options = _with(options, model_out=own(workflow, MODEL))
    if options.images:
        return options
    if options.labels:
        return _with(options, images=(network_image_url(workflow),))
    if workflow.annotate is None:
        raise ConfigError(
            "[train] has nothing to learn from; name images and labels, or add an [annotate] table"
        )
    made = own(workflow, ANNOTATIONS).removesuffix(".zarr")
    return _with(
        options,
        images=(network_image_url(workflow),),
        labels=(f"{made}.zarr",),
        ignore=options.ignore or (f"{made}-ignore.zarr",),
        agreement=options.agreement or (f"{made}-agreement.zarr",),
    )


def _predict(workflow: Workflow) -> PredictOptions:
    trained = _train(workflow)
    if trained is None or "model" in workflow.predict.model_fields_set:
        return workflow.predict
    return _with(workflow.predict, model=trained.model_out)


def _with(options: T, **more: object) -> T:
    return options.model_copy(update=more)

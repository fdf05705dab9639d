"""A network from images and their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from volproc.errors import ConfigError
from volproc.stages.description import Output, Stage
from volproc.stages.train.options import TrainOptions


def _names_its_images(workflow: Any) -> bool:
    """Whether a training works on images that are named, not on that of the run."""
    options: TrainOptions | None = workflow.train
    if options is None or not (options.images or options.data):
        return False
    return all(one.image for one in (*options.data, *options.validation))


def _resolve(workflow: Any, place: Callable[[str], str]) -> TrainOptions:
    options: TrainOptions = workflow.train
    if "model_out" not in options.model_fields_set:
        options = options.model_copy(update={"model_out": place("model")})
    if _names_its_images(workflow):
        return options
    # what the network will predict on
    image = place("filtered.zarr") if workflow.filter else workflow.image(place)
    named = {
        table: tuple(
            one if one.image else one.model_copy(update={"image": image})
            for one in getattr(options, table)
        )
        for table in ("data", "validation")
    }
    options = options.model_copy(update=named)
    if options.images or options.data:
        return options
    if options.labels:
        return options.model_copy(update={"images": (image,)})
    if workflow.annotate is None:
        raise ConfigError(
            "[train] has nothing to learn from; name images and labels, or add an [annotate] table"
        )
    made = {
        "images": (image,),
        "labels": (place("annotations.zarr"),),
        "ignore": options.ignore or (place("annotations-ignore.zarr"),),
        "agreement": options.agreement or (place("annotations-agreement.zarr"),),
    }
    return options.model_copy(update=made)


def _lines(card: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    yield f"model {card.name}: {tables['train'].model_out}"


STAGE = Stage(
    package=__name__,
    name="train",
    help="Train a model from images and their labels, or go on training it.",
    options=TrainOptions,
    outputs=(Output("model_out", "The model's folder.", "model", path_option="model_out"),),
    after=("ingest", "filter", "annotate"),
    resolve=_resolve,
    needs_no_source=_names_its_images,
    lines=_lines,
    arguments=("config",),
    returns="volproc.model.weights.Card",
    about_result="The card of the trained model.",
)

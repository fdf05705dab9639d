"""A whole workflow file: its tables, and which options hold paths."""

from __future__ import annotations

from volproc.config.crowd import AnnotateOptions, CrowdOptions
from volproc.config.images import FetchOptions, FilterOptions, IngestOptions, SubjectsOptions
from volproc.config.network import PredictOptions, TrainOptions
from volproc.config.objects import (
    EvaluateOptions,
    InteriorOptions,
    LabelOptions,
    MeasureOptions,
    ReportOptions,
)
from volproc.config.options import Options
from volproc.config.running import ClusterOptions, RunOptions
from volproc.errors import ConfigError


class Workflow(Options):
    """A whole workflow file: one table per stage.

    Tables that are None by default bring a stage with them, which a run has only if they are there.
    """

    run: RunOptions = RunOptions()
    cluster: ClusterOptions = ClusterOptions()
    ingest: IngestOptions = IngestOptions()
    fetch: FetchOptions = FetchOptions()
    predict: PredictOptions = PredictOptions()
    label: LabelOptions = LabelOptions()
    evaluate: EvaluateOptions = EvaluateOptions()
    report: ReportOptions = ReportOptions()

    filter: FilterOptions | None = None
    """The image filtered, as run/filtered.zarr; the network learns from it and predicts on it."""
    subjects: SubjectsOptions | None = None
    """Slices for volunteers, in run/subjects."""
    crowd: CrowdOptions | None = None
    """Simulated volunteers draw a truth, into run/crowd.csv."""
    annotate: AnnotateOptions | None = None
    """Labels from drawings, as run/annotations.zarr."""
    train: TrainOptions | None = None
    """A network, as run/model; it learns from the annotations where no images are named."""

    interior: InteriorOptions | None = None
    """Nuclei, as run/nuclei.zarr, where the network marks envelopes; they are what is labelled."""
    measure: MeasureOptions | None = None
    """Numbers about the objects, and their meshes, in run/measure."""

    def require_source(self) -> str:
        """The source; ConfigError if there is none."""
        if not self.run.source:
            raise ConfigError('[run] source is missing; name the image, e.g. source = "stack.tif"')
        return self.run.source

    def require_train(self) -> TrainOptions:
        """The [train] options; ConfigError if the file has none."""
        if self.train is None:
            raise ConfigError("the workflow file has no [train] table: it names images and labels")
        return self.train


PATHS = {
    ("run", "source"),
    ("run", "folder"),
    ("fetch", "folder"),
    ("subjects", "rois_file"),
    ("crowd", "truth"),
    ("annotate", "export"),
    ("annotate", "manifest"),
    ("annotate", "truth"),
    ("evaluate", "truth"),
    ("predict", "card"),
    ("predict", "mask"),
    ("train", "model_out"),
    ("train", "images"),
    ("train", "labels"),
    ("train", "ignore"),
    ("train", "agreement"),
    ("train", "validation_images"),
    ("train", "validation_labels"),
}
"""Options that hold paths, which a file gives relative to itself."""


MODELS = {("predict", "model"), ("train", "start_from")}
"""Options that hold a model: a path relative to the file, or the name of a shipped one."""

"""Every option, with its default, unit and meaning. One TOML file; unknown keys are errors."""

from volproc.config.crowd import AnnotateOptions, CrowdOptions
from volproc.config.images import (
    FetchOptions,
    FilterOptions,
    IngestOptions,
    PhantomOptions,
    SubjectsOptions,
)
from volproc.config.loading import T, from_flags, load_workflow, parsed
from volproc.config.network import PredictOptions, TrainedOnOptions, TrainOptions
from volproc.config.objects import (
    EvaluateOptions,
    InteriorOptions,
    LabelOptions,
    MeasureOptions,
    MeshFormat,
    ReportOptions,
)
from volproc.config.options import ACCESSION, Options
from volproc.config.running import ClusterOptions, RunOptions
from volproc.config.workflow import MODELS, PATHS, Workflow

__all__ = [
    "ACCESSION",
    "MODELS",
    "PATHS",
    "AnnotateOptions",
    "ClusterOptions",
    "CrowdOptions",
    "EvaluateOptions",
    "FetchOptions",
    "FilterOptions",
    "IngestOptions",
    "InteriorOptions",
    "LabelOptions",
    "MeasureOptions",
    "MeshFormat",
    "Options",
    "PhantomOptions",
    "PredictOptions",
    "ReportOptions",
    "RunOptions",
    "SubjectsOptions",
    "T",
    "TrainOptions",
    "TrainedOnOptions",
    "Workflow",
    "from_flags",
    "load_workflow",
    "parsed",
]

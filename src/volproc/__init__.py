"""Volume electron microscopy to labelled objects.

Names are imported when first used, so that `import volproc` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "open_volume": "volproc.volume.store",
    "create_volume": "volproc.volume.store",
    "new_volume": "volproc.volume.metadata",
    "Volume": "volproc.volume.store",
    "VolumeInfo": "volproc.volume.metadata",
    "load_workflow": "volproc.config",
    "run": "volproc.workflow",
    "plan": "volproc.workflow",
    "status": "volproc.workflow",
    "phantom": "volproc.commands.phantom",
    "ingest": "volproc.commands.ingest",
    "plan_fetch": "volproc.stages.ingest.empiar.fetch",
    "run_fetch": "volproc.stages.ingest.empiar.fetch",
    "filter": "volproc.commands.filter",
    "check": "volproc.commands.check",
    "predict": "volproc.commands.predict",
    "label": "volproc.commands.label",
    "interior": "volproc.commands.interior",
    "measure": "volproc.commands.measure",
    "evaluate": "volproc.commands.evaluate",
    "train": "volproc.commands.train",
    "subjects": "volproc.commands.subjects",
    "upload_subjects": "volproc.stages.subjects.upload",
    "annotate": "volproc.commands.annotate",
    "crowd": "volproc.commands.crowd",
    "PhantomOptions": "volproc.config",
    "IngestOptions": "volproc.config",
    "FetchOptions": "volproc.config",
    "FilterOptions": "volproc.config",
    "PredictOptions": "volproc.config",
    "LabelOptions": "volproc.config",
    "InteriorOptions": "volproc.config",
    "MeasureOptions": "volproc.config",
    "EvaluateOptions": "volproc.config",
    "TrainOptions": "volproc.config",
    "SubjectsOptions": "volproc.config",
    "AnnotateOptions": "volproc.config",
    "CrowdOptions": "volproc.config",
    "ClusterOptions": "volproc.config",
    "VolprocError": "volproc.errors",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'volproc' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)

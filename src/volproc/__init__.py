"""Volume electron microscopy to labelled objects.

Names are imported when first used, so that `import volproc` costs nothing. `__init__.pyi`, written
by `scripts/generate`, tells type checkers and editors what there is.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "open_volume": "volproc.volume.store",
    "create_volume": "volproc.volume.store",
    "new_volume": "volproc.volume.metadata",
    "Volume": "volproc.volume.store",
    "VolumeInfo": "volproc.volume.metadata",
    "Box": "volproc.grid.box",
    "load_workflow": "volproc.workflow.workflow_file",
    "Workflow": "volproc.workflow.workflow_file",
    "run": "volproc.functions",
    "plan": "volproc.functions",
    "status": "volproc.functions",
    "edited_run": "volproc.workflow.fixing",
    "check": "volproc.workflow.checking",
    "check_model": "volproc.model.checking",
    "import_keras": "volproc.model.keras.importing",
    "load_card": "volproc.model.model_folder",
    "store": "volproc.array.storing",
    "plan_fetch": "volproc.stages.ingest.empiar.fetch",
    "run_fetch": "volproc.stages.ingest.empiar.fetch",
    "upload_subjects": "volproc.stages.subjects.upload",
    "ClusterOptions": "volproc.config.cluster",
    "RunOptions": "volproc.config.run",
    "VolprocError": "volproc.errors",
    "labels": "",
    "array": "",
}
"""Where a name is, besides those of stages: a module, or "" for a module of volproc itself."""


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return ["__version__", *_HOME, *_of_stages()]
    if name.startswith("_"):
        raise AttributeError(f"module 'volproc' has no attribute {name!r}")
    if name in _HOME:
        home = _HOME[name]
        found = getattr(import_module(home), name) if home else import_module(f"volproc.{name}")
    else:
        # `from volproc import lease` asks here first, then imports the module of that name
        found = None if find_spec(f"volproc.{name}") else _of_stages().get(name)
        if found is None:
            raise AttributeError(f"module 'volproc' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__getattr__("__all__"))


def _of_stages() -> dict[str, Any]:
    """The function and the options of every stage."""
    functions = import_module("volproc.functions")
    return {**functions.functions(), **functions.options()}

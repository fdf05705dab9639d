"""What volproc uses of cupy, with the parameters that it has in the real one.

    python -m tests.simulated_gpu.cupy_signatures

writes cupy_signatures.json from the cupy that is installed, which takes no GPU. Tests compare
the simulated cupy with that file, and the file with a cupy that is installed.
"""

from __future__ import annotations

import inspect
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
OF_CUDA = ("Device", "PythonFunctionAllocator", "Stream.from_external", "using_allocator")
OF_RUNTIME = ("getDeviceCount", "runtimeGetVersion")
METHODS = (
    *("any", "astype", "clip", "copy", "max", "min", "reshape", "view"),
    *("__getitem__", "__setitem__", "__iter__", "__len__", "__bool__", "__int__"),
)
PROPERTIES = ("T", "dtype", "shape", "size")


def parameters(function: Any) -> list[str] | None:
    """Names and defaults, in their order; None where nothing tells them."""
    if type(function).__name__ == "ufunc":
        return ["*values", "out=None"]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # compiled ones begin their docstring with it
        first = (function.__doc__ or "").strip().partition("\n")[0]
        found = re.match(r"[\w.]+\((.*?)\)(?: ->.*)?$", first)
        return _plain(found[1].split(",")) if found else None
    given = [
        one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()
    ]
    return _plain(str(inspect.Signature(given))[1:-1].split(","))


def _plain(given: list[str]) -> list[str]:
    plain = (re.sub(r"<class '(\w+)'>", r"\1", one.strip()) for one in given)
    return [one for one in plain if one not in ("self", "/", "*", "")]


def signatures(functions: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Of the cupy that `import cupy` finds: functions by module, and what an array has."""
    cupy = import_module("cupy")
    named = {**functions, "cupy.cuda": OF_CUDA, "cupy.cuda.runtime": OF_RUNTIME}
    named["cupy.ndarray"] = METHODS + PROPERTIES
    found: dict[str, Any] = {"version": cupy.__version__}
    for place, names in named.items():
        holder = cupy.ndarray if place == "cupy.ndarray" else import_module(place)
        found[place] = {name: parameters(_named(holder, name)) for name in sorted(names)}
    return found


def _named(holder: Any, name: str) -> Any:
    for part in name.split("."):
        holder = getattr(holder, part)
    return holder


if __name__ == "__main__":
    from tests.simulated_gpu.cupy_module import FUNCTIONS

    FILE.write_text(f"{json.dumps(signatures(FUNCTIONS), indent=1)}\n")

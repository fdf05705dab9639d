"""What int8 needs, looked at without torch or openvino."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from volproc.errors import INSTALL, ModelError
from volproc.model.spec import PlaneSpec
from volproc.model.unet_spec import UNetSpec


def require_int8(spec: PlaneSpec, name: str) -> UNetSpec:
    """The description of a network that can be quantised; ModelError for others."""
    if not isinstance(spec, UNetSpec) or spec.block != "plain":
        raise ModelError(
            f"{name} cannot be quantised: int8 is for volproc's U-Nets of plain convolutions; use "
            'precision = "float32"'
        )
    return spec


def require_openvino() -> None:
    """ModelError with the way to install it where openvino is missing."""
    if find_spec("openvino") is None:
        raise ModelError(
            f'int8 needs openvino: {INSTALL.format("int8")}; or use precision = "float32"'
        )


def openvino() -> Any:
    """The module; ModelError with the way to install it where it is missing.

    Imported without openvino_telemetry, which would report every import to Google Analytics.
    """
    require_openvino()
    with _missing("openvino_telemetry"):
        import openvino as runtime
    return runtime


@contextmanager
def _missing(module: str) -> Iterator[None]:
    """Within it an import of `module` fails as if it were not installed."""
    there = sys.modules.get(module)
    sys.modules[module] = None  # type: ignore[assignment] # as the import system wants it
    try:
        yield
    finally:
        del sys.modules[module]
        if there is not None:
            sys.modules[module] = there

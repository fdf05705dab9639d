"""What int8 needs, looked at without torch or openvino."""

from __future__ import annotations

from importlib.util import find_spec

from volproc.errors import INSTALL, ModelError
from volproc.model.spec import PlaneSpec
from volproc.model.unet_spec import UNetSpec


def require_int8(spec: PlaneSpec, name: str) -> UNetSpec:
    """The description of a network that can be quantised; ModelError for others."""
    if not isinstance(spec, UNetSpec) or (spec.block, spec.skips) != ("plain", "concat"):
        raise ModelError(
            f"{name} cannot be quantised: int8 is for volproc's U-Nets of plain convolutions and "
            'concatenated skips; use precision = "float32"'
        )
    return spec


def require_openvino() -> None:
    """ModelError with the way to install it where openvino is missing."""
    if find_spec("openvino") is None:
        raise ModelError(
            f'int8 needs openvino: {INSTALL.format("int8")}; or use precision = "float32"'
        )

"""Which reader a file of weights belongs to, and whether it may be read at all."""

from __future__ import annotations

from pathlib import Path

from volproc.errors import ModelError
from volproc.model.foreign.description import Weights
from volproc.model.foreign.exported import load_exported
from volproc.model.foreign.onnx import OnnxNetwork
from volproc.model.foreign.runnable import Runnable
from volproc.model.foreign.torchscript import load_torchscript

SUFFIXES: dict[str, Weights] = {
    ".onnx": "onnx",
    ".pt2": "pt2",
    ".pt": "torchscript",
    ".pth": "torchscript",
    ".ts": "torchscript",
    ".torchscript": "torchscript",
}

_DANGER: dict[Weights, str] = {
    "torchscript": "TorchScript is a program, which may read and write files",
    "pt2": "torch unpickles parts of a .pt2, which may run any program",
}


def kind_of(path: Path) -> Weights:
    """The format of the file `path`, by its suffix; ModelError if none is known."""
    if path.suffix not in SUFFIXES:
        raise ModelError(
            f"{path} is no model: expected a folder with card.json, a bioimage.io package (folder "
            f"or .zip), or one of {', '.join(SUFFIXES)}"
        )
    return SUFFIXES[path.suffix]


def load_runnable(kind: Weights, data: bytes, *, where: str, device: str, trust: bool) -> Runnable:
    """The network in `data`; ModelError for formats that need trust and were not given it."""
    if kind in _DANGER and not trust:
        raise ModelError(
            f"{where}: {_DANGER[kind]}; if you trust its maker say --trust-model "
            "([predict] trust_model = true), or take it as ONNX"
        )
    if kind == "onnx":
        return OnnxNetwork(data, where=where, device=device)
    if kind == "pt2":
        return load_exported(data, where=where, device=device)
    return load_torchscript(data, where=where, device=device)

"""What a path leads to: the description of a network, its weights and how they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from volproc.errors import ModelError
from volproc.model.foreign.bioimageio import Named, describe
from volproc.model.foreign.cellmap import METADATA, describe_cellmap, require_scaling
from volproc.model.foreign.model_card import Description, Weights, with_card
from volproc.model.foreign.onnx import OnnxNetwork
from volproc.model.foreign.package import Package, read_file
from volproc.model.foreign.runnable import Runnable
from volproc.model.foreign.torch_formats import load_exported, load_torchscript


@dataclass(frozen=True)
class WeightsFile:
    """Where weights are: a file of its own, or one in a package."""

    path: Path
    inside: str = ""
    sha256: str | None = None

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{self.path}: {self.inside}" if self.inside else str(self.path)

    def read(self) -> bytes:
        """Its content; ModelError if it is not there, too large, or not what was described."""
        if self.inside:
            return Package(self.path).read(self.inside, sha256=self.sha256)
        return read_file(self.path)


@dataclass(frozen=True)
class Found:
    """A described network, nothing of it loaded."""

    description: Description
    """Its voxel size and format of weights are stated."""
    file: WeightsFile
    channels: int | None = None
    """Of the input, where they are stated."""
    test_input: Named | None = None
    test_output: Named | None = None


def find(path: Path, card: str) -> Found:
    """The network at `path`, as its package describes it and as its card corrects that.

    ModelError when the two together leave out what has to be known.
    """
    beside = path.with_suffix(".toml")
    chosen = Path(card) if card else beside if beside.is_file() else None
    packed = path.is_dir() or path.suffix in (".zip", ".yaml", ".yml")
    found = _in_package(path, chosen) if packed else _file(path, chosen)
    if found.description.voxel_nm is None:
        raise ModelError(
            f"{path} does not say at which voxel size its network sees images; write such as "
            f"voxel_nm = [50, 10, 10] (z, y, x) into {chosen or beside}, or into another card "
            "that --card names"
        )
    return found


def _file(path: Path, card: Path | None) -> Found:
    stated = Description(name=path.name, weights=kind_of(path))
    return Found(with_card(stated, card) if card else stated, WeightsFile(path))


def _in_package(path: Path, card: Path | None) -> Found:
    package = Package(path)
    cellmap = package.description == METADATA
    described = describe_cellmap(package) if cellmap else describe(package)
    description = with_card(described.description, card) if card else described.description
    if cellmap:
        require_scaling(description, package)
    kind = description.weights or next(iter(described.weights))
    if kind not in described.weights:
        raise ModelError(f"{path} holds no weights as {kind}, but {', '.join(described.weights)}")
    named = described.weights[kind]
    return Found(
        description.model_copy(update={"weights": kind}),
        WeightsFile(path, named.source, named.sha256),
        described.channels,
        described.test_input,
        described.test_output,
    )


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

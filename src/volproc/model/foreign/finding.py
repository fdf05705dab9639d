"""What a path leads to: the description of a network, its weights, its test tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from volproc.errors import ModelError
from volproc.model.foreign.bioimageio import Named, describe
from volproc.model.foreign.cellmap import METADATA, describe_cellmap, require_scaling
from volproc.model.foreign.description import Description, with_card
from volproc.model.foreign.formats import kind_of
from volproc.model.foreign.package import Package, read_file


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

"""The files of a model that others packed: read by name from a folder or a .zip, never unpacked.

A name may not leave the package, by `..`, as an absolute path or through a link; nothing is ever
fetched; nothing larger than the free memory is read. Its YAML is plain values, bounded."""

from __future__ import annotations

import hashlib
import posixpath
import stat
import zipfile
from pathlib import Path
from typing import Any

import psutil
import yaml

from volproc.errors import ModelError
from volproc.faults import MALFORMED
from volproc.retry import patient

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "rdf.yml", "model.yaml", "metadata.json")
"""Names of a package's description, the first one found."""


class Package:
    """The files of a package: a folder, a .zip, or the folder around a given description."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = _zip_names(path) if path.suffix == ".zip" else None
        self._folder = path if path.is_dir() else path.parent
        self._inside = ""
        self.description = path.name if path.suffix in (".yaml", ".yml") else self._find()

    def read(self, name: str, *, sha256: str | None = None) -> bytes:
        """The content of the file `name`; ModelError if it is not there, outside, or changed."""
        if "://" in name:
            raise ModelError(
                f"{self.path}: {name} is elsewhere and nothing is fetched; download it, "
                "put it into the package and name it in the description"
            )
        data = self._from_zip(name) if self._zip is not None else self._from_folder(name)
        found = hashlib.sha256(data).hexdigest()
        if sha256 and found != sha256.lower():
            raise ModelError(
                f"{self.path}: {name} has SHA-256 {found[:12]}..., its description says "
                f"{sha256[:12]}...: it is damaged or was replaced; download the package again"
            )
        return data

    def holds(self, name: str) -> bool:
        """Whether there is a file `name` beside the description."""
        if self._zip is not None:
            return posixpath.join(self._inside, name) in self._zip
        return (self._folder / name).is_file()

    def _find(self) -> str:
        if self._zip is not None:
            for name in sorted(self._zip, key=lambda n: (n.count("/"), n)):
                if posixpath.basename(name) in DESCRIPTIONS:
                    self._inside = posixpath.dirname(name)
                    return posixpath.basename(name)
        else:
            for name in DESCRIPTIONS:
                if (self._folder / name).is_file():
                    return name
        raise ModelError(
            f"{self.path} is no model: neither card.json (volproc) nor {DESCRIPTIONS[0]} "
            f"(bioimage.io) nor {DESCRIPTIONS[-1]} (cellmap) lies in it"
        )

    def _from_folder(self, name: str) -> bytes:
        root = self._folder.resolve()
        target = (root / name).resolve()
        if not target.is_relative_to(root):
            raise _leaves(self.path, name)
        return read_file(target)

    def _from_zip(self, name: str) -> bytes:
        where = posixpath.normpath(posixpath.join(self._inside, name))
        if _climbs(where):
            raise _leaves(self.path, name)
        if self._zip is None or where not in self._zip:
            raise ModelError(f"{self.path} lacks {name}, which its description names")
        require_memory(self._zip[where], f"{name} in {self.path}")
        try:
            with zipfile.ZipFile(self.path) as archive:
                if stat.S_ISLNK(archive.getinfo(where).external_attr >> 16):
                    raise _link(self.path, name)
                return archive.read(where)
        except (OSError, *MALFORMED) as error:
            raise ModelError(f"cannot read {name} in {self.path}: {error}") from error


@patient
def read_file(path: Path) -> bytes:
    """The whole file; ModelError if it cannot be read or is larger than the free memory."""
    try:
        require_memory(path.stat().st_size, str(path))
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error


def require_memory(size: int, what: str) -> None:
    """ModelError if `size` bytes do not fit into the free memory of this machine."""
    free = psutil.virtual_memory().available
    if size > free:
        raise ModelError(
            f"{what} needs {size / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free here; "
            "take a larger machine or a smaller model"
        )


@patient
def _zip_names(path: Path) -> dict[str, int]:
    """The names in the archive and their sizes unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
    except (OSError, *MALFORMED) as error:
        raise ModelError(f"{path} is not a .zip file: {error}; download it again") from error
    for name in sizes:
        if _climbs(name):
            raise _leaves(path, name)
    return sizes


def _climbs(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0]


def _link(path: Path, name: str) -> ModelError:
    return ModelError(
        f"{path}: {name!r} is a link, which are not followed; pack the file itself in its place"
    )


def _leaves(path: Path, name: str) -> ModelError:
    return ModelError(
        f"{path}: {name!r} leads out of the package, which no honest one needs; do not use it"
    )


MAX_BYTES = 2**20
MAX_VALUES = 100_000
"""With aliases written out: a few lines of them can stand for 10^9 values."""


def read_yaml(data: bytes, *, where: str) -> dict[str, Any]:
    """The mapping in `data`; ModelError if it is none, too long, or too deep."""
    if len(data) > MAX_BYTES:
        raise ModelError(f"{where} has {len(data)} bytes, a description has {MAX_BYTES} at most")
    try:
        loader = yaml.SafeLoader(data)
        node = loader.get_single_node()
        _count(node, {})
        found = loader.construct_document(node) if node else None
    # the constructors of dates and numbers raise whatever Python does
    except (yaml.YAMLError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        first = " ".join(str(error).split())[:200]
        raise ModelError(f"{where} is not a readable description: {first}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{where} is not a readable description: it holds no keys")
    return found


def _count(node: Any, counted: dict[int, int]) -> int:
    """Values below `node`, aliases written out; each node is looked at once.

    ValueError when there are too many, or when one holds itself.
    """
    if id(node) in counted:
        if not counted[id(node)]:
            raise ValueError("a value holds itself (&name, *name)")
        return counted[id(node)]
    counted[id(node)] = 0
    inside = node.value if isinstance(node, yaml.CollectionNode) else ()
    parts = [part for item in inside for part in (item if isinstance(item, tuple) else (item,))]
    total = 1 + sum(_count(part, counted) for part in parts)
    if total > MAX_VALUES:
        raise ValueError(f"its aliases stand for more than {MAX_VALUES:,} values")
    counted[id(node)] = total
    return total

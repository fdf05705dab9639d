"""Descriptions of bioimage.io models, formats 0.4 and 0.5: what is needed to run them.

Read by hand rather than by bioimageio.spec, which brings a web client and fetches what a
description names. Anything that cannot be honoured is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from volproc.errors import ModelError
from volproc.faults import understanding
from volproc.model.foreign.model_card import Description, Extent, Weights, checked
from volproc.model.foreign.package import Package, read_yaml
from volproc.model.foreign.tensors import Axis, Tensor04, Tensor05

KEYS: dict[Weights, str] = {"onnx": "onnx", "torchscript": "torchscript", "pt2": "torch_export"}
"""What a description calls the weights that can be read, in the order they are taken."""

_NM = {"nanometer": 1.0, "angstrom": 0.1, "micrometer": 1e3, "millimeter": 1e6, "meter": 1e9}

_MEANINGLESS = ("mode", "axes", "reference_tensor")
"""Arguments that say over what statistics are taken: always the volume, here."""


@dataclass(frozen=True)
class Named:
    """A file of the package, and its SHA-256 where it is stated."""

    source: str
    sha256: str | None = None


@dataclass(frozen=True)
class Described:
    """A model as its package describes it."""

    description: Description
    channels: int | None
    """How many the input has."""
    weights: dict[Weights, Named]
    test_input: Named | None
    test_output: Named | None


def describe(package: Package) -> Described:
    """What the package's description says; ModelError for what is wrong or cannot be honoured."""
    where = str(package.path)
    if package.path.name != package.description:
        where += f": {package.description}"
    content = read_yaml(package.read(package.description), where=where)
    malformed = f"{where} is not what bioimage.io describes a model by ({{}}); download it again"
    with understanding(ModelError, malformed):
        return _described(content, where)


def _described(content: dict[str, Any], where: str) -> Described:
    version = str(content.get("format_version", ""))
    if content.get("type", "model") != "model" or not version.startswith(("0.4", "0.5")):
        raise ModelError(
            f"{where} is a {content.get('type')!r} of format {version or 'unknown'}, "
            "expected a model of format 0.4 or 0.5"
        )
    old = version.startswith("0.4")
    source, output = _tensors(content, old=old, where=where)
    tests = [tensor.test_tensor for tensor in (source, output)]
    if old:
        tests = [(content.get(key) or [None])[0] for key in ("test_inputs", "test_outputs")]
    channels = next((axis.extent for axis in source.axes if axis.letter == "c"), None)
    return Described(
        _description(content, source, output, where=where),
        channels.least if channels else None,
        _weights(content.get("weights"), where=where),
        *(_named(test) for test in tests),
    )


def _tensors(content: dict[str, Any], *, old: bool, where: str) -> tuple[Tensor05, Tensor05]:
    found = []
    for key in ("inputs", "outputs"):
        values = content.get(key)
        if not isinstance(values, list) or not values:
            raise ModelError(f"{where}: {key}: a list of tensors is missing")
        if key == "inputs" and len(values) > 1:
            raise ModelError(
                f"{where} wants {len(values)} inputs; there is one here, the image: "
                "take a model of one input"
            )
        kind = f"{where}: {key}.0"
        if old:
            found.append(checked(Tensor04, values[0], where=kind).renewed())
        else:
            found.append(checked(Tensor05, values[0], where=kind))
    for tensor in found:
        letters = "".join(axis.letter for axis in tensor.axes)
        if not {"y", "x"} <= set(letters):
            raise ModelError(f"{where}: a tensor has the axes {letters!r}, expected y and x there")
    return found[0], found[1]


def _description(
    content: dict[str, Any], source: Tensor05, output: Tensor05, *, where: str
) -> Description:
    by_letter = {axis.letter: axis for axis in source.axes}
    out = {axis.letter: axis for axis in output.axes}
    values = {
        "name": str(content.get("name") or "")[:200],
        "axes": "".join(by_letter),
        "output_axes": "".join(out),
        "voxel_nm": _voxel_nm(by_letter),
        "size": _size(by_letter["y"].extent, by_letter["x"].extent, where=where),
        "depth": by_letter["z"].extent if "z" in by_letter else None,
        "channels": out["c"].names if "c" in out else (),
        "preprocessing": _steps(source.preprocessing),
        "postprocessing": _steps(output.postprocessing),
        "halo": max(out[letter].halo for letter in "yx") or None,
        "depth_halo": (out["z"].halo or None) if "z" in out else None,
    }
    known = {key: value for key, value in values.items() if value is not None}
    return checked(Description, known, where=where)


def _size(y: Extent | None, x: Extent | None, *, where: str) -> Extent | None:
    if y and x and y != x:
        raise ModelError(
            f"{where} takes other heights ({y}) than widths ({x}): they must be alike, since it "
            "looks along three axes"
        )
    return y or x


def _voxel_nm(axes: dict[str, Axis]) -> tuple[float, float, float] | None:
    """The input's voxel size; for a 2D network the planes are as far apart as its rows."""
    sizes = {
        letter: axis.scale * _NM[axis.unit]
        for letter, axis in axes.items()
        if letter in "zyx" and axis.unit in _NM
    }
    if not {"y", "x"} <= set(sizes):
        return None
    return sizes.get("z", sizes["y"]), sizes["y"], sizes["x"]


def _steps(steps: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """{"id": ..., arguments}; format 0.4 says name, and zero_mean_unit_variance for both kinds."""
    return tuple(
        {
            "id": step.get("id", step.get("name")),
            **{k: v for k, v in (step.get("kwargs") or {}).items() if k not in _MEANINGLESS},
        }
        for step in steps
    )


def _weights(stated: Any, *, where: str) -> dict[Weights, Named]:
    stated = stated if isinstance(stated, dict) else {}
    found = {kind: _named(stated.get(key)) for kind, key in KEYS.items()}
    usable = {kind: named for kind, named in found.items() if named}
    if not usable:
        raise ModelError(
            f"{where} holds weights as {', '.join(map(str, stated)) or 'none'}, which need code of "
            "their makers; export the network to ONNX"
        )
    return usable


def _named(stated: Any) -> Named | None:
    if isinstance(stated, str):
        return Named(stated)
    if isinstance(stated, dict) and isinstance(stated.get("source"), str):
        sha256 = stated.get("sha256")
        return Named(stated["source"], str(sha256) if sha256 is not None else None)
    return None

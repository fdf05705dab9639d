"""The layers of a model that Keras wrote as HDF5 (the "legacy" format of Keras 2 and 3).

attributes      model_config (JSON): the layers and what each reads; not in files of weights
model_weights   or the file itself, in files of weights
  attributes    layer_names (or layer_names0, layer_names1, ... where there are many)
  a group per layer, attributes weight_names: its arrays, such as conv2d_1/kernel:0
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import ModelError
from volproc.faults import first_line, renaming

MOST_BYTES = 2**30
"""Of one array: a file may claim more than it holds."""
Weights = Mapping[str, npt.NDArray[np.float32]]
"""Arrays by the last word of their names: kernel, bias, gamma, beta, ..."""


@dataclass(frozen=True)
class Layer:
    """A layer, as far as the file tells."""

    name: str
    weights: Weights = field(default_factory=dict)
    kind: str = ""
    """Such as Conv2D; "" in a file of weights."""
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    """Names of the layers that it reads, in their order."""


def read_layers(path: Path) -> tuple[Layer, ...]:
    """All layers in the order of the file; ModelError if it is none that Keras wrote."""
    import h5py

    if not path.is_file():
        raise ModelError(f"{path} is not a file; expected HDF5 of Keras (.h5 or .hdf5)")
    if not h5py.is_hdf5(path):
        raise ModelError(
            f"{path} is not an HDF5 file; expected one that Keras wrote (.h5 or .hdf5; save a "
            ".keras file with Keras as .h5 first)"
        )
    doing = f"{path} cannot be read as HDF5 of Keras"
    with renaming(doing, ModelError, otherwise="copy or save it again"), h5py.File(path) as file:
        return tuple(_layers(file, path))


def _layers(file: Any, path: Path) -> Iterator[Layer]:
    group = file.get("model_weights", file)
    names = _words(group, "layer_names")
    if not names:
        raise ModelError(
            f"{path} is HDF5, but not of Keras (no layer_names); expected what model.save or "
            "model.save_weights wrote as .h5 in Keras 2, or model.save in Keras 3"
        )
    weights = {name: _weights(group[name], path) for name in names}
    described = _described(file, path)
    if not described:
        yield from (Layer(name, weights[name]) for name in names)
    for one in described:
        name = one["config"]["name"]
        inputs = tuple(_inputs(one.get("inbound_nodes", [])))
        yield Layer(name, weights.get(name, {}), one["class_name"], one["config"], inputs)


def _described(file: Any, path: Path) -> list[dict[str, Any]]:
    """The layers of model_config, [] if there is none."""
    text = file.attrs.get("model_config")
    if text is None:
        return []
    try:
        found: list[dict[str, Any]] = json.loads(text)["config"]["layers"]
        assert all(one["class_name"] and one["config"]["name"] for one in found)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ModelError(
            f"{path} describes no layers in its model_config: {first_line(error)}; expected a "
            "functional model"
        ) from error
    return found


def _inputs(nodes: Any) -> Iterator[str]:
    """Names of layers in what Keras 2 or 3 writes about the origin of tensors: (name, 0, 0)."""
    if isinstance(nodes, dict):
        for one in nodes.values():
            yield from _inputs(one)
    elif isinstance(nodes, list):
        kinds = [type(one) for one in nodes[:3]]
        if kinds == [str, int, int]:
            yield nodes[0]
        else:
            for one in nodes:
                yield from _inputs(one)


def _weights(group: Any, path: Path) -> Weights:
    found = {}
    for name in _words(group, "weight_names"):
        data = group[name]
        if prod(data.shape) * data.dtype.itemsize > MOST_BYTES or data.dtype.kind != "f":
            raise ModelError(
                f"{path}: {name} is {data.dtype} of shape {data.shape}; expected weights of less "
                "than 1 GiB"
            )
        found[name.rsplit("/")[-1].removesuffix(":0")] = data[()].astype(np.float32)
    return found


def _words(group: Any, key: str) -> list[str]:
    """A list of words in the attribute `key`, or in key0, key1, ... if it was too long for one."""
    parts = [group.attrs[key]] if key in group.attrs else []
    while f"{key}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{key}{len(parts)}"])
    words = [word for part in parts for word in np.atleast_1d(part).tolist()]
    return [word.decode() if isinstance(word, bytes) else str(word) for word in words]

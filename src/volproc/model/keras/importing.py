"""Etch-a-Cell's network with the weights of a Keras file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from volproc.errors import ModelError
from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.keras.etchacell_layers import Place, Places, places_of
from volproc.model.keras.hdf5_layers import read_layers
from volproc.model.measured_halo import measured_halo
from volproc.model.model_folder import CARD, WEIGHTS, file_bytes
from volproc.model.weights import Card, card_for, save_model

NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}

FROM_CONFIG, FROM_ORDER = (
    "Imported from Keras. The order of channels follows from the file's description of its layers.",
    "Imported from a Keras file of weights alone: skips are taken to come before what is lifted, "
    "and towers as 1x1-3x3, 1x1-5x5, pool; compare a prediction with Keras' own before you rely "
    "on it.",
)
GREYS = (
    "The file does not say how images were normalised: here to mean 0 and spread 1 of the volume. "
    "Compare a prediction with the published one before you rely on it."
)


def import_keras(
    path: Path | str,
    folder: Path | str,
    *,
    name: str = "etchacell",
    voxel_nm: tuple[float, float, float] = (50.0, 50.0, 50.0),
    classes: tuple[str, ...] = ("nucleus",),
    licence: str = "",
) -> Card:
    """Write the model that Keras saved as HDF5 at `path` to `folder`; returns its card.

    Etch-a-Cell's network only, of any number of levels and channels. `voxel_nm` (z, y, x) is the
    size at which it sees images, `licence` the terms of the weights. ModelError for a file of
    another network, and where the folder holds anything already.
    """
    source, place = Path(path), f"{folder}".rstrip("/")
    if file_bytes(f"{place}/{CARD}") or file_bytes(f"{place}/{WEIGHTS}"):
        raise ModelError(f"{place} holds a model already; remove it, or write to another folder")
    network, described = read_keras(source, classes=len(classes))
    card = card_for(
        network.spec,
        name=name,
        voxel_nm=voxel_nm,
        classes=classes,
        fusion="union",
        licence=licence,
        purpose=f"{' and '.join(classes)}, with weights from {source.name}",
        limits=GREYS,
        notes=FROM_CONFIG if described else FROM_ORDER,
        measured_halo=measured_halo(network, name=name),
    )
    return save_model(place, network, card)


def read_keras(path: Path, *, classes: int = 1) -> tuple[EtchACell, bool]:
    """The network in eval mode, and whether the file describes what its layers read.

    Its description follows from the file: levels, channels of a tower, planes in and out.
    ModelError names the first layer that does not fit.
    """
    layers = read_layers(path)
    places = places_of(layers, path)
    spec = _spec(places, path, classes)
    with torch.device("meta"):
        wanted = EtchACell(spec).state_dict()
    state = {}
    for name, value in wanted.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
            continue
        found = _tensor(name, places, path)
        if found.shape != value.shape:
            module = name.rpartition(".")[0]
            raise ModelError(
                f"{path}: {places[module].layer.name} holds an array that would be {name} of shape "
                f"{tuple(found.shape)}, the network of {spec.levels} levels from {spec.start} "
                f"channels needs {tuple(value.shape)}"
            )
        state[name] = found
    network = EtchACell(spec)
    network.load_state_dict(state)
    return network.eval(), any(layer.kind for layer in layers)


def _spec(places: Places, path: Path, classes: int) -> EtchACellSpec:
    first, last = (_array(places, name, "kernel", path) for name in ("down.0.three.0", "head"))
    if first.ndim != 4 or last.ndim != 4:
        raise ModelError(f"{path}: its kernels have {first.ndim} axes, expected 4")
    levels = sum(name.startswith("lift.") for name in places) + 1
    if last.shape[3] % classes:
        raise ModelError(f"{path} predicts {last.shape[3]} planes, not {classes} times as many")
    planes_out = last.shape[3] // classes
    return EtchACellSpec(first.shape[2], planes_out, first.shape[3], levels, classes=classes)


def _tensor(name: str, places: Places, path: Path) -> Tensor:
    """A parameter or statistic of ours, from rows, columns, in, out to out, in, rows, columns.

    Of transposed convolutions from rows, columns, out, in to in, out, rows, columns: the same.
    """
    module, _, part = name.rpartition(".")
    if module.endswith(".norm"):
        return torch.from_numpy(_array(places, module, NORM[part], path)[_order(places[module])])
    if part == "bias":
        return torch.from_numpy(_array(places, module, "bias", path))
    kernel, order = _array(places, module, "kernel", path), _order(places[module])
    if kernel.ndim != 4:
        raise ModelError(f"{path}: the kernel of {module} has {kernel.ndim} axes, expected 4")
    ordered = kernel[..., order] if module.startswith("lift.") else kernel[:, :, order]
    return torch.from_numpy(np.ascontiguousarray(ordered.transpose(3, 2, 0, 1)))


def _order(place: Place) -> npt.NDArray[np.int64] | slice:
    return slice(None) if place.order is None else np.array(place.order)


def _array(places: Places, module: str, key: str, path: Path) -> npt.NDArray[np.float32]:
    layer = places[module].layer
    if key not in layer.weights:
        raise ModelError(
            f"{path}: {layer.name} has no {key}, only {', '.join(layer.weights) or 'no weights'}; "
            "it is another network, or saved without its weights"
        )
    return layer.weights[key]

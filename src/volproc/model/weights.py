"""Model folders: weights.safetensors beside card.json. Nothing is ever unpickled.

The card states what the network needs (voxel size, slices, reach), what it predicts, what it was
trained on and under which terms, and the digest of the weights it belongs to.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from fsspec.implementations.local import LocalFileSystem
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from volproc import lease
from volproc.errors import ModelError
from volproc.faults import understanding
from volproc.location import filesystem_of
from volproc.model.card import Card, TrainedOn, card_for
from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.model_folder import CARD, INT8, WEIGHTS, load_card, read_file
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.retry import patient

PlaneNetwork = UNet | EtchACell
NetworkSpec = UNetSpec | EtchACellSpec

__all__ = ["Card", "TrainedOn", "card_for", "load_model", "save_model"]


def save_model(folder: Path | str, module: PlaneNetwork, card: Card) -> Card:
    """Write the model to a path or URL and return its card, now with the weights' digest.

    The card is written last: a folder with a card is complete; it states no quantised weights.
    ModelError for weights that are not numbers or a card of another network.
    """
    if module.spec != card.spec:
        raise ModelError(
            f"the card of {card.name} describes {card.spec}, the network is {module.spec}"
        )
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()
    }
    _require_finite(tensors, where=card.name)
    data = save_tensors(tensors)
    sha256 = hashlib.sha256(data).hexdigest()
    final = card.model_copy(update={"weights_sha256": sha256, "int8": None})
    _replace(f"{folder}/{WEIGHTS}", data)
    _replace(f"{folder}/{CARD}", final.model_dump_json(indent=2).encode() + b"\n")
    return final


def save_int8(folder: Path | str, source: Path | str, data: bytes, card: Card) -> None:
    """Write a model with its quantised weights, file content `data`, to a path or URL.

    `source` is the folder of its float32 weights, which may be the same; `card` is of both.
    """
    if str(folder) != str(source):
        _replace(f"{folder}/{WEIGHTS}", read_file(f"{source}/{WEIGHTS}"))
    _replace(f"{folder}/{INT8}", data)
    _replace(
        f"{folder}/{CARD}", card.model_dump_json(indent=2, exclude_unset=True).encode() + b"\n"
    )


def load_model(folder: Path | str) -> tuple[PlaneNetwork, Card]:
    """The network, in eval mode on the CPU, and its card; ModelError names what is wrong."""
    card = load_card(folder)
    path = f"{folder}/{WEIGHTS}"
    data = read_file(path)
    if hashlib.sha256(data).hexdigest() != card.weights_sha256:
        raise ModelError(
            f"{path} is not the file its card was written for (SHA-256 differs); "
            "copy the folder again"
        )
    try:
        tensors = load_tensors(data)
    except Exception as error:
        raise ModelError(
            f"{path} is not a safetensors file: {error}; copy the folder again"
        ) from error
    impossible = f"{folder}/{CARD} describes a network that cannot be made ({{}}); use the card "
    # a card may describe more than there is memory for
    with understanding(ModelError, f"{impossible}that came with it"), torch.device("meta"):
        requested = network_of(card.spec).state_dict()
    _require_fit(requested, tensors, path=path)
    _require_finite(tensors, where=str(path))
    module = network_of(card.spec)
    module.load_state_dict(tensors)
    return module.eval(), card


def network_of(spec: NetworkSpec) -> PlaneNetwork:
    """A network of this description, with random weights."""
    return UNet(spec) if isinstance(spec, UNetSpec) else EtchACell(spec)


def _require_fit(requested: dict[str, Tensor], found: dict[str, Tensor], *, path: str) -> None:
    odd = sorted(requested.keys() ^ found.keys())
    if odd:
        side = "lacks" if odd[0] in requested else "has the unknown"
        raise ModelError(
            f"{path} {side} tensor {odd[0]!r}: it belongs to another network than its card's; "
            "use the card that came with it"
        )
    for name, value in requested.items():
        if value.shape != found[name].shape:
            raise ModelError(
                f"{path}: tensor {name!r} has shape {tuple(found[name].shape)}, "
                f"the card's network needs {tuple(value.shape)}; use the card that came with it"
            )
        if value.is_floating_point() != found[name].is_floating_point():
            raise ModelError(
                f"{path}: tensor {name!r} is of {found[name].dtype}, the card's network needs "
                f"{value.dtype}: it belongs to another network"
            )


def _require_finite(tensors: dict[str, Tensor], *, where: str) -> None:
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"{where}: tensor {name!r} holds NaN or infinity; "
                "train again or take an older model"
            )


@patient
def _replace(url: str, data: bytes) -> None:
    filesystem, place = filesystem_of(url)
    if not isinstance(filesystem, LocalFileSystem):
        lease.require()
        filesystem.pipe_file(place, data)  # object stores take objects whole
        return
    path = Path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    lease.require()
    unfinished.replace(path)

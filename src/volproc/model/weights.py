"""Model folders: weights.safetensors beside card.json. Nothing is ever unpickled.

The card states what the network needs (voxel size, slices, reach), what it predicts, what it was
trained on and under which terms, and the digest of the weights it belongs to.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import get_args

import torch
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from volproc import lease
from volproc.errors import ModelError
from volproc.faults import first_line, understanding
from volproc.location import filesystem_of
from volproc.model.card import FORMAT, Card, Format, TrainedOn, card_for
from volproc.model.etchacell import EtchACell, EtchACellSpec
from volproc.model.unet import UNet, UNetSpec
from volproc.retry import patient

WEIGHTS, CARD = "weights.safetensors", "card.json"
SHIPPED = Path(__file__).parent / "shipped"

__all__ = ["Card", "TrainedOn", "card_for", "load_card", "load_model", "save_model"]


def save_model(folder: Path | str, module: UNet | EtchACell, card: Card) -> Card:
    """Write the model to a path or URL and return its card, now with the weights' digest.

    The card is written last: a folder with a card is complete. ModelError for weights that are
    not numbers or a card of another network.
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
    final = card.model_copy(update={"weights_sha256": hashlib.sha256(data).hexdigest()})
    _replace(f"{folder}/{WEIGHTS}", data)
    _replace(f"{folder}/{CARD}", final.model_dump_json(indent=2).encode() + b"\n")
    return final


def load_model(folder: Path | str) -> tuple[UNet | EtchACell, Card]:
    """The network, in eval mode on the CPU, and its card; ModelError names what is wrong."""
    card = load_card(folder)
    path = f"{folder}/{WEIGHTS}"
    data = _read(path)
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


def network_of(spec: UNetSpec | EtchACellSpec) -> UNet | EtchACell:
    """A network of this description, with random weights."""
    return UNet(spec) if isinstance(spec, UNetSpec) else EtchACell(spec)


def load_card(folder: Path | str) -> Card:
    """The card of a model folder, checked; ModelError if it is missing or not usable."""
    path = f"{folder}/{CARD}"
    content = _read(path)
    try:
        card = Card.model_validate_json(content)
    except ValidationError as error:
        _refuse_later_format(content, path)
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(
            f"{path} is not a model card of this version: {place}: "
            f"{first['msg'].removeprefix('Value error, ')}"
        ) from error
    spec = card.spec
    stated = (card.slices_in, card.slices_out, card.reach, card.stride)
    actual = (spec.slices_in, spec.slices_out, spec.reach, spec.stride)
    if stated != actual:
        raise ModelError(
            f"{path} says slices in, out, reach, stride = {stated}, its network has {actual}; "
            "use the card that came with the weights"
        )
    return card


def _refuse_later_format(content: bytes, path: str) -> None:
    """ModelError if that is all that is wrong with the card, as far as this version can tell."""
    with suppress(ValueError, AttributeError):
        stated = json.loads(content).get("format")
        if isinstance(stated, str) and stated not in get_args(Format):
            raise ModelError(
                f"{path} has format {stated!r}, this volproc reads up to {FORMAT!r}: a later one "
                "wrote it; update volproc"
            )


@patient
def model_folder(name: str) -> Path | str:
    """The folder of a shipped model, or `name` as a path; ModelError if there is neither.

    A URL is returned as it is: what lies there, `load_card` finds out.
    """
    if "://" in name:
        return name.rstrip("/")
    shipped = SHIPPED / name
    folder = shipped if "/" not in name and (shipped / CARD).is_file() else Path(name)
    if not folder.is_dir():
        known = ", ".join(sorted(path.parent.name for path in SHIPPED.glob(f"*/{CARD}"))) or "none"
        raise ModelError(f"no model {name!r}: neither a folder nor shipped (shipped: {known})")
    return folder


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
def _read(url: str) -> bytes:
    filesystem, path = filesystem_of(url)
    try:
        content: bytes = filesystem.cat_file(path)
    except OSError as error:
        only = ", the only kind that is read at a URL" if "://" in url else ""
        raise ModelError(
            f"cannot read {url}: {error.strerror or first_line(error)}; a model is a folder with "
            f"{WEIGHTS} and {CARD}{only}"
        ) from error
    return content


@patient
def file_bytes(url: str) -> int:
    """The size of a file at a path or URL; 0 where there is none."""
    filesystem, path = filesystem_of(url)
    try:
        return int(filesystem.info(path)["size"] or 0)
    except (FileNotFoundError, NotADirectoryError):
        return 0


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

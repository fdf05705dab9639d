"""The model whose weights a training begins with, and what is different about the new one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from volproc.errors import ModelError
from volproc.grid.scale import VoxelNm
from volproc.model.card import Parent
from volproc.model.model_folder import load_card, model_folder
from volproc.model.transfer import copy_weights, freeze
from volproc.model.weights import Card, NetworkSpec, PlaneNetwork, load_model, network_of
from volproc.stages.train.options import TrainOptions

PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin")
KERAS = (".h5", ".hdf5", ".keras")


@dataclass(frozen=True)
class Start:
    """A model to go on from."""

    folder: Path | str
    card: Card
    changed: tuple[str, ...]
    """What the new model has otherwise, a line each."""

    @property
    def parent(self) -> Parent:
        """For the new model's card."""
        digest = self.card.weights_sha256
        return Parent(name=self.card.name, weights_sha256=digest, changed=self.changed)


def start_of(
    options: TrainOptions, spec: NetworkSpec, classes: tuple[str, ...], voxel_nm: VoxelNm
) -> Start | None:
    """What `start_from` names, None if nothing; ModelError where it is no model that fits.

    It fits if its network is the one described but for the number of classes.
    """
    name = options.start_from
    if not name:
        if options.freeze != "nothing":
            raise ModelError(
                f"[train] freeze = {options.freeze!r} keeps what a model has learnt; name one as "
                "start_from"
            )
        return None
    folder = folder_of(name)
    card = load_card(folder)
    if replace(card.spec, classes=spec.classes) != spec:
        raise ModelError(
            f"[train] start_from = {name!r} is a {card.spec}, the options describe a {spec}; leave "
            "out the options of the network, so that they are those of its card"
        )
    return Start(folder, card, tuple(_changes(options, card, classes, voxel_nm)))


def started(start: Start, options: TrainOptions, classes: tuple[str, ...]) -> PlaneNetwork:
    """The network to begin with: trained, but for the heads of new classes, and frozen as asked."""
    trained, card = load_model(start.folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        new = network_of(replace(card.spec, classes=len(classes)))
    network = copy_weights(trained, new, classes=(card.classes, classes))
    return freeze(network, options.freeze)


def _changes(
    options: TrainOptions, card: Card, classes: tuple[str, ...], voxel_nm: VoxelNm
) -> Iterator[str]:
    if card.voxel_nm != tuple(voxel_nm):
        before, after = (" x ".join(f"{n:g}" for n in one) for one in (card.voxel_nm, voxel_nm))
        yield f"voxel size: {after} nm, {card.name} learnt at {before} nm"
    if new := [name for name in classes if name not in card.classes]:
        yield f"classes that begin with random weights: {', '.join(new)}"
    if gone := [name for name in card.classes if name not in classes]:
        yield f"classes of {card.name} that are dropped: {', '.join(gone)}"
    if options.freeze != "nothing":
        yield f"frozen, as {card.name} has it: {options.freeze}"


def folder_of(name: str) -> Path | str:
    """The folder of a model to start from; ModelError for files, whose way here is another."""
    ending = Path(name).suffix.lower()
    if ending in PICKLES:
        raise ModelError(
            f"[train] start_from = {name!r} looks like a pickle, which may run anything when it is "
            "read: a training starts from model folders (weights.safetensors and card.json) only"
        )
    if ending in KERAS:
        raise ModelError(
            f"[train] start_from = {name!r} is a file of Keras: make a model folder of it with "
            "`volproc models import-keras`, and start from that"
        )
    return model_folder(name)

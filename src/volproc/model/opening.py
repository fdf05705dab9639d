"""Which kind of model a name stands for."""

from __future__ import annotations

from volproc.model.answering import own_network
from volproc.model.network import Network
from volproc.model.weights import model_folder


def open_network(name: str) -> Network:
    """The network called `name`: a model folder or a shipped model; ModelError if it is none."""
    return own_network(model_folder(name))

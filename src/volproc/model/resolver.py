"""The network that a name stands for: one of our own, or one that others made."""

from __future__ import annotations

from pathlib import Path

from volproc.errors import ModelError
from volproc.model.model_folder import CARD, SHIPPED, model_folder
from volproc.model.network import Network
from volproc.model.own_network import own_network
from volproc.retry import patient

TRAINING = "training"
"""A folder in a model's, where a training keeps what it goes on from."""


@patient
def open_network(name: str, *, card: str = "", trust: bool = False) -> Network:
    """The network called `name`: a shipped model, a model folder or its URL, or what others made.

    Others' are bioimage.io packages and files of ONNX, torch.export and TorchScript; `card` is a
    TOML file that says about them what they do not, and the last two are programs, read only
    with `trust`. ModelError names what is wrong.
    """
    if "://" in name:
        return own_network(model_folder(name))
    path = Path(name)
    shipped = "/" not in name and (SHIPPED / name / CARD).is_file()
    own = shipped or (path / CARD).is_file() or not path.exists()
    if not own and (path / TRAINING).is_dir():
        raise ModelError(
            f"{name} is a training that is not finished; the same `volproc train` goes on with it"
        )
    if own:
        return own_network(model_folder(name))
    from volproc.model.foreign.loader import open_foreign  # torch, and what measures networks

    return open_foreign(path, card=card, trust=trust)

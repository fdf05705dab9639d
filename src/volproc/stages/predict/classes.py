"""The classes that are predicted, and the names of channels.

of one class        prediction (z, y, x)            votes x, y, z
of several          prediction nucleus, er          votes "nucleus x", "nucleus y", ... "er z"
"""

from __future__ import annotations

from volproc.errors import ConfigError
from volproc.model.network import Network
from volproc.stages.predict.options import PredictOptions

UNNAMED = ("object",)
"""What a network predicts that does not say what."""


def chosen_classes(network: Network, options: PredictOptions) -> tuple[str, ...]:
    """Of the network's classes those that are predicted, in the network's order.

    ConfigError for one that it does not have.
    """
    known, asked = network.classes or UNNAMED, options.classes
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ConfigError(
            f"[predict] classes: {network.name} has no class {unknown[0]!r}; it predicts "
            f"{', '.join(known)}"
        )
    return tuple(name for name in known if not asked or name in asked)


def outputs_of(network: Network, classes: tuple[str, ...]) -> tuple[int, ...]:
    """Which of the network's outputs are these classes."""
    return tuple(map((network.classes or UNNAMED).index, classes))


def channels_of(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Channels of a prediction: none for a single class."""
    return classes if len(classes) > 1 else ()


def vote_channels(classes: tuple[str, ...], axes: str) -> tuple[str, ...]:
    """Channels of the votes, of each class x, y and z.

    >>> vote_channels(("nucleus", "er"), "zx")
    ('nucleus x', 'nucleus z', 'er x', 'er z')
    """
    voted = tuple(axis for axis in "xyz" if axis in axes)
    return tuple(f"{name} {axis}" for name in channels_of(classes) for axis in voted) or voted

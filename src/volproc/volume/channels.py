"""One channel of a volume as a volume of its own, for all that takes one value a voxel.

    stored      nucleus | er | nucleus x | nucleus y | ...      axis c
    picked                ^^                                    a volume of z, y and x

What is picked reads, plans and is compared like any other volume; it cannot be written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from volproc.errors import ConfigError, VolumeError
from volproc.volume.metadata import VolumeInfo

OF_CHANNELS = "channels"
"""The key in a volume's provenance for what is known of single channels, by their names."""
PICKED = "channel"
"""The key in the provenance of what was picked, for its name."""
AXES = frozenset("xyz")
"""What votes end with: "x", or "nucleus x"."""


def holds_votes(info: VolumeInfo) -> bool:
    """Whether the channels are votes of single axes, of one class or of several."""
    return bool(info.channels) and all(name.split(" ")[-1] in AXES for name in info.channels)


def one_class(info: VolumeInfo, name: str, *, option: str) -> VolumeInfo:
    """The channel called `name` as a volume; a volume without channels is its only one.

    ConfigError where the `option` names what is not there or has to name one, VolumeError for
    votes.
    """
    if holds_votes(info):
        raise VolumeError(
            f"{info.url} has channels ({_listed(info.channels)}), the votes of single axes; one "
            "value per voxel is needed: take the fused prediction"
        )
    if not info.channels:
        return _only(info, name, option)
    if name not in info.channels:
        wrong = f", not {name!r}" if name else ""
        raise ConfigError(
            f"{info.url} has channels ({_listed(info.channels)}): name one of them as "
            f"{option}{wrong}"
        )
    number = info.channels.index(name)
    return _picked(info, number, number + 1, (), name)


def votes_of_class(info: VolumeInfo, name: str, *, option: str) -> VolumeInfo:
    """The votes of one class, channels x, y and z; those of a single class as they are.

    ConfigError where the `option` names what is not there or has to name one.
    """
    known = voted_classes(info)
    if not known:
        return info
    if name not in known:
        wrong = f", not {name!r}" if name else ""
        raise ConfigError(
            f"{info.url} has the votes for {_listed(known)}: name one of them as {option}{wrong}"
        )
    mine = [n for n, channel in enumerate(info.channels) if channel.rpartition(" ")[0] == name]
    axes = tuple(info.channels[n].rpartition(" ")[2] for n in mine)
    return _picked(info, mine[0], mine[-1] + 1, axes, name)


def answers_of_class(info: VolumeInfo, name: str, *, option: str) -> VolumeInfo:
    """Of votes those of a class, of anything else its channel: errors as of these."""
    pick = votes_of_class if holds_votes(info) else one_class
    return pick(info, name, option=option)


def voted_classes(info: VolumeInfo) -> tuple[str, ...]:
    """The classes that votes are of; none where they do not say it, as those of a single one."""
    names = (channel.rpartition(" ")[0] for channel in info.channels)
    return tuple(name for name in dict.fromkeys(names) if name) if holds_votes(info) else ()


def stored_selection(info: VolumeInfo, selection: Sequence[Any], ndim: int) -> tuple[Any, ...]:
    """Where in an array of `ndim` axes the `selection` of the volume's own axes lies."""
    selection, lead = tuple(selection), ndim - len(selection)
    if info.picked is None:
        return (*(0,) * lead, *selection)
    first = info.picked[0]
    if not info.channels:
        return (*(0,) * (lead - 1), first, *selection)
    channel, *box = selection
    if isinstance(channel, slice):
        start, stop, step = channel.indices(len(info.channels))
        channel = slice(first + start, first + stop, step)
    else:
        channel += first
    return (*(0,) * lead, channel, *box)


def _only(info: VolumeInfo, name: str, option: str) -> VolumeInfo:
    model = info.provenance.get("model", {}).get("classes", [])
    known = [info.provenance[PICKED]] if info.picked else model
    if name and name not in known:
        holds = f"holds {' and '.join(known)} only" if known else "has no channels"
        raise ConfigError(f"{info.url} {holds}: leave {option} = {name!r} out")
    return info


def _picked(
    info: VolumeInfo, first: int, end: int, channels: tuple[str, ...], name: str
) -> VolumeInfo:
    at = info.picked[0] if info.picked else 0
    known = info.provenance.get(OF_CHANNELS, {}).get(name, {})
    provenance = {**info.provenance, **known, PICKED: name}
    return replace(info, channels=channels, picked=(at + first, at + end), provenance=provenance)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)

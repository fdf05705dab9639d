"""What a result is made from: two results of equal recipes have equal voxels.

    stage, algorithm     which program; the number is raised by hand when results would change
    inputs               fingerprints of what is read
    options              those that the result depends on
    places               where the inputs are: for messages, part of no digest
    cutting              blocks, shards and chunks: a volume cut in two ways would lose voxels

A new release of volproc alone changes none of it, so an upgrade remakes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from volproc.engine.ledger import digest, plain

SHOWN = 40
"""Characters of an option's value in a message."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a result depends on, by name."""

    stage: str
    algorithm: int
    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    cutting: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Today's names of options by those in `options`: told in messages, not recorded."""

    @property
    def digest(self) -> str:
        """A short name: equal recipes, equal name."""
        return digest({name: value for name, value in self.record().items() if name != "places"})

    def record(self) -> dict[str, Any]:
        """The recipe as JSON keeps it."""
        kept = {name: value for name, value in self.__dict__.items() if name != "renamed"}
        described: dict[str, Any] = json.loads(json.dumps(kept, default=plain))
        return described


@dataclass(frozen=True)
class Difference:
    """How a recipe differs from the one that was recorded. False where it does not.

    `edited`: only the content of the inputs, which are where they were. Whoever repeats the same
    command means the edited inputs.
    """

    words: tuple[str, ...] = ()
    edited: bool = False
    unknown: bool = False
    """An older volproc kept no recipe."""

    def __bool__(self) -> bool:
        return bool(self.words)

    def __str__(self) -> str:
        return "; ".join(self.words)


def difference(old: Mapping[str, Any], new: Recipe) -> Difference:
    """How `new` differs from the recipe `old` that was recorded.

    >>> was = Recipe("label", 1, {"mask": "a"}, {"border": "keep"}).record()
    >>> print(difference(was, Recipe("label", 2, {"mask": "b"}, {"border": "drop"})))
    border: 'keep' -> 'drop'; the algorithm of label was improved; its mask changed
    """
    if not old:
        words = "an older volproc made it and did not record from what"
        return Difference((words,), unknown=True)
    now = new.record()
    changes = tuple(_changed_options(old, now, new.renamed))
    inputs = tuple(_changed_inputs(old, now))
    elsewhere = any(" -> " in words for words in inputs)
    if old["cutting"] != now["cutting"] and not inputs:  # others than before may be cut otherwise
        changes = (*changes, "it is cut into other blocks, shards or chunks")
    return Difference((*changes, *inputs), edited=not changes and not elsewhere and bool(inputs))


def _changed_options(
    old: Mapping[str, Any], new: Mapping[str, Any], renamed: Mapping[str, str]
) -> Iterator[str]:
    for name in sorted({*old["options"], *new["options"]}):
        was, now = old["options"].get(name), new["options"].get(name)
        if was != now:
            yield f"{renamed.get(name, name)}: {_shown(was)} -> {_shown(now)}"
    if old["algorithm"] != new["algorithm"]:
        yield f"the algorithm of {new['stage']} was improved"


def _changed_inputs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*old["inputs"], *new["inputs"]}):
        if old["inputs"].get(name) != new["inputs"].get(name):
            was, now = (recipe.get("places", {}).get(name) for recipe in (old, new))
            yield f"its {name} changed" if was == now else f"its {name}: {was} -> {now}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

"""YAML of strangers: plain values only, no aliases, bounded."""

from __future__ import annotations

from typing import Any

import yaml

from volproc.errors import ModelError

MOST_BYTES = 2**20


class _Plain(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Safe types; an alias is refused: a few lines of them can stand for 10^9 values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses aliases (*name); write the values out")
        return super().compose_node(parent, index)


def read_yaml(data: bytes, *, where: str) -> dict[str, Any]:
    """The mapping in `data`; ModelError if it is none, too long, too deep, or uses aliases."""
    if len(data) > MOST_BYTES:
        raise ModelError(f"{where} has {len(data)} bytes, a description has {MOST_BYTES} at most")
    try:
        found = yaml.load(data, Loader=_Plain)
    # the constructors of dates and numbers raise whatever Python does
    except (yaml.YAMLError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        first = " ".join(str(error).split())[:200]
        raise ModelError(f"{where} is not a readable description: {first}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{where} is not a readable description: it holds no keys")
    return found

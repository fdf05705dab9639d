"""YAML of strangers: plain values only, bounded."""

from __future__ import annotations

from typing import Any

import yaml

from volproc.errors import ModelError

MAX_BYTES = 2**20
MAX_VALUES = 100_000
"""With aliases written out: a few lines of them can stand for 10^9 values."""


def read_yaml(data: bytes, *, where: str) -> dict[str, Any]:
    """The mapping in `data`; ModelError if it is none, too long, or too deep."""
    if len(data) > MAX_BYTES:
        raise ModelError(f"{where} has {len(data)} bytes, a description has {MAX_BYTES} at most")
    try:
        loader = yaml.SafeLoader(data)
        node = loader.get_single_node()
        _count(node, {})
        found = loader.construct_document(node) if node else None
    # the constructors of dates and numbers raise whatever Python does
    except (yaml.YAMLError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        first = " ".join(str(error).split())[:200]
        raise ModelError(f"{where} is not a readable description: {first}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{where} is not a readable description: it holds no keys")
    return found


def _count(node: Any, counted: dict[int, int]) -> int:
    """Values below `node`, aliases written out; each node is looked at once.

    ValueError when there are too many, or when one holds itself.
    """
    if id(node) in counted:
        if not counted[id(node)]:
            raise ValueError("a value holds itself (&name, *name)")
        return counted[id(node)]
    counted[id(node)] = 0
    inside = node.value if isinstance(node, yaml.CollectionNode) else ()
    parts = [part for item in inside for part in (item if isinstance(item, tuple) else (item,))]
    total = 1 + sum(_count(part, counted) for part in parts)
    if total > MAX_VALUES:
        raise ValueError(f"its aliases stand for more than {MAX_VALUES:,} values")
    counted[id(node)] = total
    return total

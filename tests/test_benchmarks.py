"""Benchmarks are run by hand and rarely: what they import has to be there all the same."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each thing that a benchmark takes from volproc or another benchmark."""
    own = {one.stem for one in BENCHMARKS.glob("*.py")}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module.partition(".")[0] in {"volproc", *own}:
                yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((one.name, "") for one in node.names if one.name.startswith("volproc"))


def is_there(module: str, name: str) -> bool:
    own = BENCHMARKS / f"{module}.py"
    if own.exists():
        return name in own.read_text()
    found = importlib.import_module(module)
    return not name or hasattr(found, name) or bool(importlib.import_module(f"{module}.{name}"))


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_imports_from_volproc_is_there(path: Path) -> None:
    for module, name in imported(path):
        try:
            there = is_there(module, name)
        except ModuleNotFoundError:
            there = False
        assert there, f"{path.name}: from {module} import {name}"

"""Lengths of functions and files under src, and whether the imports run in a circle.

Fails for a function over 60 lines and for an import cycle; warns of a file over 250 lines.
"""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median, quantiles

import grimp

SRC = Path(__file__).parents[1] / "src"
MAX_LINES = {"function": 60, "file": 250}


def functions(path: Path) -> list[tuple[int, str]]:
    """Length and place of every function of a file, docstring included."""
    found = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, found)]
    return [(_lines(n), f"{path.relative_to(SRC)}:{n.lineno} {n.name}") for n in nodes]


def cycle() -> list[str]:
    """Modules that import one another in a circle, if there are any."""
    sys.path.insert(0, str(SRC))  # this tree's package, whichever one is installed
    graph = grimp.build_graph("volproc", cache_dir=None)
    imports = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def main() -> int:
    """Print the measures; 1 if a limit is broken."""
    files = sorted((len(p.read_text().splitlines()), p) for p in SRC.rglob("*.py"))
    lengths = sorted(found for _, path in files for found in functions(path))
    numbers = [n for n, _ in lengths]
    print(f"{len(files)} files, {sum(n for n, _ in files)} lines; longest {_named(files[-1])}")
    print(
        f"{len(lengths)} functions: median {median(numbers):g} lines, "
        f"90% within {quantiles(numbers, n=10)[-1]:g}; longest {lengths[-1][0]}, {lengths[-1][1]}"
    )
    for long in (f for f in files if f[0] > MAX_LINES["file"]):
        print(f"warning: {_named(long)}: over {MAX_LINES['file']}, is it one thing?")
    wrong = [f"{where} has {n} lines" for n, where in lengths if n > MAX_LINES["function"]]
    circle = cycle()
    wrong += [f"import cycle: {' -> '.join(circle)}"] if circle else []
    for line in wrong:
        print(f"error: {line}")
    return 1 if wrong else 0


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _named(file: tuple[int, Path]) -> str:
    return f"{file[1].relative_to(SRC)} with {file[0]} lines"


if __name__ == "__main__":
    sys.exit(main())

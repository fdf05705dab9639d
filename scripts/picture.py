"""The layers of volproc as its imports make them: the picture of ARCHITECTURE.md.

scripts/picture            prints it
scripts/picture --write    writes it into ARCHITECTURE.md, between two marks

A package is one layer above the highest package that it imports. `volproc` itself (the version and
the public names) is left out: it imports from every layer.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from textwrap import wrap

import grimp

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
MARKED = re.compile(r"(?s)(?<=<!-- made by scripts/picture -->\n).*?(?=<!-- end -->)")
LIBRARIES = ("dask", "distributed", "zarr", "torch", "numba", "fsspec", "pydantic", "typer")
WIDTH = 100


def package_of(module: str, *, inside: str = "volproc") -> str:
    """The package below `inside` that a module belongs to; "" where it is elsewhere.

    >>> package_of("volproc.engine.ledger"), package_of("volproc"), package_of("zarr.core")
    ('engine', '', '')
    """
    return module.removeprefix(inside).split(".")[1] if module.startswith(f"{inside}.") else ""


def imports(graph: grimp.ImportGraph, inside: str = "volproc") -> dict[str, set[str]]:
    """What each package below `inside` imports of the others."""
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        package = package_of(module, inside=inside)
        if package:
            others = graph.find_modules_directly_imported_by(module)
            found.setdefault(package, set()).update(package_of(o, inside=inside) for o in others)
    return {package: others - {package, ""} for package, others in sorted(found.items())}


def layers(imported: Mapping[str, set[str]]) -> list[list[str]]:
    """Packages by layer, the highest first; CycleError where imports run in a circle."""
    height: dict[str, int] = {}
    for package in TopologicalSorter(imported).static_order():
        height[package] = 1 + max((height[o] for o in imported[package]), default=-1)
    return [sorted(p for p in height if height[p] == n) for n in sorted({*height.values()})][::-1]


def picture(graph: grimp.ImportGraph) -> str:
    """Layers from top to bottom, what each package imports, the stages, and what is outside."""
    imported = imports(graph)
    found = layers(imported)
    order = [package for layer in found for package in layer]
    left = 5 + max(map(len, order))
    lines = [f"{'layer':<{left}}   imports"]
    for number, layer in zip(range(len(found) - 1, -1, -1), found, strict=True):
        for package in layer:
            first = f"{number:>2}   {package}" if package == layer[0] else f"     {package}"
            below = " ".join(p for p in order if p in imported[package]) or "-"
            lines += _wrapped(f"{first:<{left}}   ", below)
    return "\n".join([*lines, "", *_stages(graph), "", *_outside(graph), ""])


def _stages(graph: grimp.ImportGraph) -> Iterator[str]:
    """The stages, which import none of one another, and the modules that they share."""
    below = imports(graph, inside="volproc.stages")
    stages = [p for p in below if f"volproc.stages.{p}.stage" in graph.modules]
    shared = {p: [s for s in stages if p in below[s]] for p in below if p not in stages}
    yield from _wrapped("stages       ", " ".join(stages))
    yield from _wrapped("they share   ", " ".join(p for p, users in shared.items() if users))


def _outside(graph: grimp.ImportGraph) -> Iterator[str]:
    """Which packages import a library themselves."""
    for library in LIBRARIES:
        users = graph.find_modules_that_directly_import(library)
        names = sorted({package_of(user) for user in users} - {""})
        yield from _wrapped(f"{library:<13}", f"in {' '.join(names)}")


def _wrapped(first: str, words: str) -> list[str]:
    rest = " " * len(first)
    return wrap(words, WIDTH, initial_indent=first, subsequent_indent=rest)


def built() -> grimp.ImportGraph:
    """The imports of this tree's package, whichever one is installed."""
    sys.path.insert(0, str(ROOT / "src"))
    return grimp.build_graph("volproc", include_external_packages=True, cache_dir=None)


def main() -> None:
    """Print the picture, or write it into the page."""
    drawn = f"```\n{picture(built())}```\n"
    if "--write" in sys.argv:
        PAGE.write_text(MARKED.sub(lambda _: drawn, PAGE.read_text()))
    else:
        print(drawn)


if __name__ == "__main__":
    main()

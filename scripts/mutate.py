"""Breaks one line of a kernel at a time and runs the tests beside it: docs/testing.md.

Works on a copy of src and tests, and of numba's cache, in which compiled code names its source.
"""

import argparse
import ast
import copy
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import distributed  # noqa: F401  what tests import is imported once, and then forked
import numba
import numba.core.caching as caching
import pytest
import skimage.measure  # noqa: F401
import torch  # noqa: F401
import zarr  # noqa: F401
from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parents[1]
SIGNS = "Lt LtE, Gt GtE, Eq NotEq, Is IsNot, In NotIn, Add Sub, Mult Div, And Or, BitAnd BitOr"
NAMES = "min max, minimum maximum, any all, argmin argmax, floor ceil"
PAIRS = [pair.split() for pair in f"{SIGNS}, {NAMES}".split(", ")]
SWAPS = dict(PAIRS) | {b: a for a, b in PAIRS}
WORDS = (ast.JoinedStr, ast.Raise, ast.Import, ast.ImportFrom)
HARMLESS = ("annotation", "returns", "decorator_list", "strict", "copy", "order", "kind")
PYTEST = ["-xq", "-Wignore::pytest.PytestAssertRewriteWarning", "-p", "no:cacheprovider"]
PYTEST += ["--hypothesis-seed=0", "-m", "not dask and not gpu and not slow"]
PYTEST += ["--hypothesis-profile=mutate"]  # one failure is enough: none is looked for in short
# numba compiles a whole file again when its date changes; volproc's cache knows what has changed
caching._SourceFileBackedLocatorMixin.get_source_stamp = lambda _: 0
settings.register_profile(
    "mutate", deadline=None, database=None, phases=[Phase.explicit, Phase.generate]
)


def rules(node):
    """All nodes but annotations, decorators and messages."""
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            apart = {name, getattr(child, "arg", "")} & {*HARMLESS} or isinstance(child, WORDS)
            if isinstance(child, ast.AST) and not apart:
                yield child
                yield from rules(child)


def broken(node):
    """What to replace, and by what: a comparison, arithmetic, a number, a truth, a condition."""
    new = copy.deepcopy(node)
    sign = type(getattr(node, "ops", [getattr(node, "op", None)])[0]).__name__
    match new:
        case ast.Compare(ops=[_]) if sign in SWAPS:
            new.ops = [getattr(ast, SWAPS[sign])()]
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign() if sign in SWAPS:
            new.op = getattr(ast, SWAPS[sign])()
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            new = new.operand
        case ast.Constant(value=bool(value)):
            new.value = not value
        case ast.Constant(value=int(value) | float(value)):
            new.value = value + 1 if isinstance(value, int) else value * 1.5 or 1.0
        case ast.Name(id=name) if name in SWAPS:
            new.id = SWAPS[name]
        case ast.Attribute(attr=name) if name in SWAPS:
            new.attr = SWAPS[name]
        case ast.If() | ast.While() | ast.IfExp():
            node, new = node.test, ast.Constant(False)
        case ast.Return(value=ast.Compare() | ast.BoolOp()):
            node, new = node.value, ast.UnaryOp(ast.Not(), new.value)
        case _:
            return None
    return node, new


def mutants(path):
    """The file, the place and what stood there, what is put there, and the whole source with it."""
    text = path.read_bytes()
    starts = [0, *(found.end() for found in re.finditer(b"\n", text))]
    for node, new in filter(None, map(broken, rules(ast.parse(text)))):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        put = ast.unparse(new) if isinstance(new, ast.stmt) else f"({ast.unparse(new)})"
        whole = text[:begin] + put.encode() + text[end:]
        place = f"{path}:{node.lineno}:{node.col_offset + 1}"
        yield path, f"{place}: {ast.unparse(node)}", put, whole


def users(path):
    """The file, and those of its stage, or beside it, that import it, directly or not."""
    found, stage = [path], Path(*path.parts[:4])
    folder = stage if stage.is_dir() else path.parent
    for one in found:
        name = f".{one.parent.name}.{one.stem} import"
        found += [p for p in folder.rglob("*.py") if name in p.read_text() and p not in found]
    return found


def tests_of(path):
    """Its test file; of one that has none, those of the files that use it."""
    mirror = [Path("tests", *p.parts[2:-1], f"test_{p.name}") for p in users(path)]
    return [mirror[0]] if mirror[0].exists() else [p for p in mirror[1:] if p.exists()]


def passes(tests, cache, seconds):
    """Whether the tests pass in that time."""
    if not (child := os.fork()):
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        numba.config.CACHE_DIR = str(cache)
        sys.path.insert(0, str(Path("src").resolve()))
        os._exit(pytest.main([*PYTEST, *map(str, tests)]))
    until = time.monotonic() + seconds
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.killpg(child, 9)
        time.sleep(0.05)
    return ended[1] == 0


def killed(path, source, tests, warm, seconds):
    """Whether a test fails with the mutant."""
    cache = warm.with_name("cache")
    shutil.copytree(warm, cache, copy_function=os.link)
    whole = path.read_bytes()
    path.write_bytes(source)
    passed = passes(tests, cache, seconds)
    path.write_bytes(whole)
    shutil.rmtree(cache)
    return not passed


def main():
    """A line in the log for each mutant; survivors and the score at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="files or folders, seen from the root")
    parser.add_argument("--count", type=int, default=20, help="mutants, drawn by lot")
    parser.add_argument("--seed", type=int, default=0, help="of the lot: another one, other places")
    parser.add_argument("--seconds", type=float, default=120, help="for the tests of one")
    parser.add_argument("--tests", nargs="+", help="instead of those of the files' names")
    parser.add_argument("--log", type=Path, default=Path("mutants.jsonl"), help="goes on from here")
    given = parser.parse_args()
    log = given.log.resolve()
    done = dict(map(json.loads, log.read_text().splitlines() if log.exists() else ()))
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, Path(scratch, name))
        shutil.copy2(ROOT / "pyproject.toml", scratch)
        os.chdir(scratch)
        warm = Path(scratch, "warm")
        files = [
            file for one in given.files for file in (one.rglob("*.py") if one.is_dir() else [one])
        ]
        tests = {file: given.tests or tests_of(file) for file in sorted(files)}
        found = [mutant for file in tests if tests[file] for mutant in mutants(file)]
        drawn = random.Random(given.seed).sample(found, min(given.count, len(found)))
        left = [one for one in drawn if f"{one[1]} -> {one[2]}" not in done]
        if left and not passes({test for one in left for test in tests[one[0]]}, warm, 3600):
            sys.exit("the tests fail before anything is broken")
        for path, was, put, source in left:
            done[f"{was} -> {put}"] = killed(path, source, tests[path], warm, given.seconds)
            with log.open("a") as lines:
                print(json.dumps([f"{was} -> {put}", done[f"{was} -> {put}"]]), file=lines)
    print(*(f"survived: {mutant}" for mutant, dead in done.items() if not dead), sep="\n")
    print(f"{sum(done.values())} of {len(done)} killed")


if __name__ == "__main__":
    main()

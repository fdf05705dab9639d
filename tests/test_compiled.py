"""A cache of compiled code is never stale, and does not grow with each change."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import volproc

FILES = {
    "__init__.py": "",
    "constants.py": "FACTOR = 3\nTABLE = (1, 2)\n",
    "deep.py": """
        from volproc.compiled import compiled

        @compiled
        def deep(x):
            return x + 100
        """,
    "helper.py": """
        from tiny import constants
        from tiny.deep import deep
        from volproc.compiled import compiled

        @compiled
        def helper(x):
            return deep(x) + constants.TABLE[1]
        """,
    "kernel.py": """
        from tiny.constants import FACTOR
        from tiny.helper import helper
        from volproc.compiled import compiled

        @compiled
        def kernel(x):
            return FACTOR * helper(x)

        def adding(n):
            @compiled
            def add(x):
                return x + n
            return add

        minus, plus = compiled(lambda x: x - 1), adding(1)
        twice = compiled(
            lambda x: x + 2
        )
        """,
}

RUN = """
from tiny.kernel import adding, kernel, minus, twice
results = [kernel(1), minus(10), twice(10), adding(1)(10), adding(2)(10)]
print(results, sum(kernel.stats.cache_misses.values()))
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, text in FILES.items():
        lines = [line.removeprefix("        ") for line in text.splitlines()]
        (folder / name).write_text("\n".join(lines).strip() + "\n")
    return folder


def run(folder: Path, code: str = RUN) -> tuple[list[int], int]:
    """What the kernels return in a process of its own, and how often `kernel` was compiled."""
    paths = f"{folder.parent}{os.pathsep}{Path(volproc.__file__).parents[1]}"
    known = {"PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(folder.parent / "cache")}
    known["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, env=os.environ | known, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    results, misses = ended.stdout.rsplit(maxsplit=1)
    return ast.literal_eval(results), int(misses)


def replace(path: Path, old: str, new: str) -> None:
    """A changed file of the same size and date, as a container may keep them."""
    dates, text = path.stat(), path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))


def test_change_in_another_file_is_seen_in_a_warm_cache(tiny: Path) -> None:
    rest = [9, 12, 11, 12]
    assert run(tiny) == ([309, *rest], 1)
    assert run(tiny) == ([309, *rest], 0)
    replace(tiny / "constants.py", "FACTOR = 3", "FACTOR = 5")
    assert run(tiny) == ([515, *rest], 1)
    replace(tiny / "deep.py", "100", "200")
    assert run(tiny) == ([1015, *rest], 1)
    files = sorted(path.name for path in tiny.parent.glob("cache/**/*.nb?"))
    replace(tiny / "constants.py", "(1, 2)", "(1, 7)")
    assert run(tiny) == ([1040, *rest], 1)
    assert run(tiny) == ([1040, *rest], 0)
    assert sorted(path.name for path in tiny.parent.glob("cache/**/*.nb?")) == files


def test_shifted_line_leaves_no_file_behind(tiny: Path) -> None:
    run(tiny)
    files = sorted(path.name for path in tiny.parent.glob("cache/**/kernel.kernel*"))
    text = (tiny / "kernel.py").read_text()
    (tiny / "kernel.py").write_text(f"# a new first line\n{text}")
    assert run(tiny)[0] == [309, 9, 12, 11, 12]
    assert sorted(path.name for path in tiny.parent.glob("cache/**/kernel.kernel*")) == files
    assert len(files) == 2


def test_a_type_that_moved_is_compiled_for_again(tiny: Path) -> None:
    """The cache's index names the types of arguments: of a module that is gone, too."""
    pair = "from typing import NamedTuple\n\nclass Pair(NamedTuple):\n    a: int\n    b: int\n"
    (tiny / "old.py").write_text(pair)
    (tiny / "sums.py").write_text(
        "from volproc.compiled import compiled\n\n@compiled\ndef total(p):\n    return p.a + p.b\n"
    )
    code = """
from tiny.old import Pair
from tiny.sums import total
print([total(Pair(2, 3))], sum(total.stats.cache_misses.values()))
"""
    assert run(tiny, code) == ([5], 1)
    (tiny / "old.py").rename(tiny / "new.py")
    moved = code.replace("tiny.old", "tiny.new")
    assert run(tiny, moved) == ([5], 1)
    assert run(tiny, moved) == ([5], 0)

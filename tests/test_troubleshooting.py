"""docs/troubleshooting.md quotes lines that volproc says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = re.findall(r"(?m)^\| `([^`]+)` \|", (ROOT / "docs" / "troubleshooting.md").read_text())
VALUE = "\0"
"""Stands for what a message fills in."""


def texts_of(source):
    """Every text in a file, values that are filled in as VALUE."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if isinstance(node, ast.JoinedStr):
            parts = (getattr(part, "value", VALUE) for part in node.values)
            yield "".join(part if isinstance(part, str) else VALUE for part in parts)


@pytest.fixture(scope="module")
def texts():
    files = (ROOT / "src").rglob("*.py")
    return "\n".join(text for file in files for text in texts_of(file.read_text()))


def test_a_text_is_whole_however_it_is_broken_into_lines():
    source = 'x = (f"{url} is cut "\n    f"short: {size}; copy it")\ny = "plain"'
    assert f"{VALUE} is cut short: {VALUE}; copy it" in list(texts_of(source))
    assert "plain" in list(texts_of(source))


@pytest.mark.parametrize("line", ROWS)
def test_a_quoted_line_is_one_of_volprocs(line, texts):
    parts = [re.escape(part.strip(" :;,.")) for part in line.split("…") if part.strip(" :;,.")]
    assert re.search(r"[^\n]*?".join(parts), texts), "the message has other words now"


def test_the_page_quotes_lines():
    assert len(ROWS) > 30

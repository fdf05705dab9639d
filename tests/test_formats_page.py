"""docs/formats.md: every cell is held by a test that exists."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORMATS = {
    "TIFF",
    "ImageJ TIFF",
    "OME-TIFF",
    "PNG, JPEG",
    "DM3, DM4",
    "MRC",
    "HDF5",
    "OME-Zarr",
    "Zarr, N5",
}


def tables():
    """Section and rows (lists of cells) of every table of the page."""
    for section in (ROOT / "docs/formats.md").read_text().split("\n## ")[1:]:
        title, *lines = section.splitlines()
        rows = [line.strip("|").split("|") for line in lines if line.startswith("|")][2:]
        yield title, [[cell.strip() for cell in row] for row in rows]


@cache
def names_in(path):
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("title", "rows"), list(tables()), ids=[title for title, _ in tables()])
def test_every_row_has_its_test_and_no_format_is_missing(title, rows):
    for row in rows:
        assert len(row) == 4, row
        named = [name for name in row[3].split("`") if "::" in name]
        assert named, f"{title}: {row[0]} names no test"
        for name in named:
            path, _, test = name.partition("::")
            assert test in names_in(f"tests/{path}"), name
    assert not rows or {row[0] for row in rows} == FORMATS

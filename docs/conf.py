"""How Sphinx makes a site of the pages, which are plain Markdown and stay readable without it.

The source is the whole repository (`scripts/docs`), so that links to pages, and to files beside
them, are the same here and on a git host. The index lists the sections, and a section its pages,
in lines that begin with the link; these lines are the table of contents, which is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import volproc

ROOT = Path(__file__).resolve().parents[1]
LAST_RESORT = "docs/howto"
"""A page that no section lists yet comes at the end of this one, so that nothing is lost."""
LISTED = re.compile(r"(?m)^(?:\| |- )\[([^\]]*)\]\(([^)#\s]+)\.(?:md|ipynb)\)")

project = "volproc"
author = copyright = "The volproc developers"
version = release = volproc.__version__

extensions = ["myst_nb"]
root_doc = "docs/index"
include_patterns = [
    "*.md",
    "benchmarks/LOG.md",
    "changes/README.md",
    "deploy/*/README.md",
    "docs/*.md",
    "examples/*.ipynb",
    "examples/*/README.md",
    "src/**/DESIGN.md",
]
exclude_patterns = [".*", "build", "demo", "dist", "docs/drawings", "runs", "tests"]
html_extra_path = ["site"]  # an index.html that leads to docs/index.html

myst_heading_anchors = 6
nb_execution_mode = "off"  # tests run the notebooks; their pictures are kept in them

html_context = {"default_mode": "auto"}  # light or dark as the reader's machine is
html_theme = "pydata_sphinx_theme"
html_title = f"volproc {version}"
html_static_path = ["static"]
html_css_files = ["volproc.css"]
html_show_sourcelink = False
html_theme_options: dict[str, Any] = {
    "logo": {"text": "volproc"},
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_nav_level": 1,
}


def listed(page: str) -> dict[str, str]:
    """The pages that a section's lists and tables begin with, by their names for Sphinx: titles."""
    found = LISTED.findall((ROOT / f"{page}.md").read_text())
    return {normpath(join(dirname(page), place)): title for title, place in found}


def contents(pages: Iterable[str]) -> dict[str, dict[str, str]]:
    """The pages below the index and each section, in the order in which they are shown: titles."""
    below = {root_doc: listed(root_doc)} | {page: listed(page) for page in listed(root_doc)}
    known = {root_doc, *(page for found in below.values() for page in found)}
    below[LAST_RESORT] |= dict.fromkeys(sorted(set(pages) - known), "")
    return below


def add_contents(app: Any, page: str, source: list[str]) -> None:
    """Give the index and the sections their table of contents (Sphinx' event source-read)."""
    below = contents(app.env.found_docs).get(page, {})
    if below:
        lines = (f"{title} </{one}>" if title else f"/{one}" for one, title in below.items())
        entries = "\n".join(lines)
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n"


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)

"""How Sphinx makes a site of the pages, which are plain Markdown and stay readable without it.

The source is the whole repository (`scripts/docs`), so that links to pages, and to files beside
them, are the same here and on a git host. A section's page lists its pages as a table or a list
whose lines begin with the link; these lines are its table of contents, which is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import volproc

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = ("tutorials", "howto", "explanation", "reference", "project")
"""Pages that list others; the names in the bar at the top."""
LAST_RESORT = "docs/howto"
"""A page that no section lists yet comes at the end of this one, so that nothing is lost."""
LISTED = re.compile(r"(?m)^(?:\| |- |\d+\. )\*{0,2}\[[^\]]*\]\(([^)#\s]+)\.(?:md|ipynb)\)")

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


def listed(page: str) -> list[str]:
    """The pages that a section's lists and tables begin with, by their names for Sphinx."""
    text = (ROOT / f"{page}.md").read_text()
    return [normpath(join(dirname(page), found)) for found in LISTED.findall(text)]


def contents(pages: Iterable[str]) -> dict[str, list[str]]:
    """The pages below each section and below the index, in the order in which they are shown."""
    sections = [f"docs/{name}" for name in SECTIONS]
    below = {section: listed(section) for section in sections}
    known = {root_doc, *sections, *(page for found in below.values() for page in found)}
    below[LAST_RESORT] += sorted(set(pages) - known)
    return {root_doc: sections, **below}


def add_contents(app: Any, page: str, source: list[str]) -> None:
    """Give the index and the sections their table of contents (Sphinx' event source-read)."""
    below = contents(app.env.found_docs).get(page, [])
    if below:
        entries = "\n".join(f"/{one}" for one in below)
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n"


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)

"""The site that scripts/docs makes of the pages: complete, whole links, right on a telephone."""

import importlib.util
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
from tests.browser import browser_page

ROOT = Path(__file__).parents[1]
DRAWINGS = sorted((ROOT / "docs/images").glob("*.svg"))
LOADS = {"img": "src", "script": "src", "link": "href", "iframe": "src"}
"""What a page fetches by itself, by element."""


class Page(HTMLParser):
    """The links, the anchors, and what is fetched of a built page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors, self.loaded = [], set(), []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get(LOADS.get(tag)):
            self.loaded.append(given[LOADS[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, by page; building it is a test: scripts/docs ends with 1 at a warning."""
    if not all(map(importlib.util.find_spec, ("myst_nb", "pydata_sphinx_theme"))):
        pytest.skip("needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    source = {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT / "src")}
    command = [ROOT / "scripts/docs", folder]
    done = subprocess.run(
        command, env={**os.environ, **source}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    pages = (path for path in folder.rglob("*.html") if "_static" not in path.parts)
    return {path: Page(path) for path in pages}


def test_every_page_is_in_the_site(site):
    names = {path.stem for path in site}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} < names
    assert {"nuclei", "dask_arrays", "ARCHITECTURE", "LOG"} < names


def test_links_and_anchors_of_the_site_lead_somewhere(site):
    broken = []
    for path, page in site.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if not parts.scheme:
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                anchor = unquote(parts.fragment)
                known = site[target].anchors if target in site else set()
                if not target.exists() or (anchor and anchor not in known):
                    broken.append(f"{path.name}: {link}")
    assert not broken


def test_the_site_fetches_nothing_from_elsewhere(site):
    loaded = {link for page in site.values() for link in page.loaded}
    assert loaded
    assert not [link for link in loaded if urlsplit(link).scheme not in ("", "data")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_telephone_and_raise_no_error(site, scheme):
    shown = ("docs/index", "docs/options", "docs/votes", "examples/nuclei", "benchmarks/LOG")
    paths = [path for path in site if path.with_suffix("").as_posix().endswith(shown)]
    assert len(paths) == len(shown)
    with browser_page(400, 800, color_scheme=scheme) as page:
        for path in paths:
            page.goto(path.as_uri())
            page.wait_for_load_state()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path.name
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert not page.complaints


def conf():
    """docs/conf.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_conf", ROOT / "docs/conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_section_shows_what_its_table_lists_and_a_new_page_is_not_lost():
    found = conf().contents(["docs/index", "docs/votes", "docs/brand_new"])
    sections = ("tutorials", "howto", "explanation", "reference", "project")
    assert list(found["docs/index"]) == [f"docs/{name}" for name in sections]
    assert list(found["docs/tutorials"])[:2] == ["docs/getting_started", "examples/nuclei"]
    assert found["docs/explanation"]["docs/votes"] == "Three votes"
    assert list(found["docs/howto"])[-1] == "docs/brand_new"
    assert "docs/votes" not in found["docs/howto"]


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.name)
def test_a_drawing_is_small_says_what_it_shows_and_has_a_dark_look(path):
    text = path.read_text()
    drawing = ElementTree.fromstring(text)
    assert drawing[0].tag.endswith("title")
    assert drawing[0].text
    assert "prefers-color-scheme: dark" in text
    assert len(text) < 100_000


def draw(folder, *names):
    """The drawings as their scripts make them today."""
    source = {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, ROOT / "docs/drawings/draw.py", folder, *names]
    subprocess.run(command, env={**os.environ, **source}, check=True, capture_output=True)
    return [(folder / f"{name}.svg").read_text() for name in names]


@pytest.mark.parametrize("name", ["blocks", "components"])
def test_a_drawing_of_numbers_is_what_its_script_draws(name, tmp_path):
    (drawn,) = draw(tmp_path, name)
    assert drawn == (ROOT / f"docs/images/{name}.svg").read_text()


@pytest.mark.parametrize("name", ["cria", pytest.param("votes", marks=pytest.mark.slow)])
def test_a_drawing_of_arrays_has_the_parts_that_its_script_draws(name, tmp_path):
    (drawn,) = draw(tmp_path, name)
    kept = ElementTree.fromstring((ROOT / f"docs/images/{name}.svg").read_text())
    now = ElementTree.fromstring(drawn)
    # the pixels may be rounded otherwise on another machine
    assert [part.tag for part in now.iter()] == [part.tag for part in kept.iter()]
    assert [part.text for part in now.iter()] == [part.text for part in kept.iter()]
